-- Whether somebody led later than who gives this order. Every order is as good as a leadership's beginning: the
-- greatest token stays, and so a leader that slept has nothing to say when it wakes.
local function comes_too_late(cluster, token)
  local key = '@fence@' .. cluster
  local greatest = call('GET', key)
  if greatest and tonumber(greatest) > tonumber(token) then return true end
  call('SET', key, token, 'EX', @fence_life@)
  return false
end

-- Who a registration names, be it a pod or not.
local function owner_of(registration) return string.match(registration, '^[^:]*') end

-- Declares dead who has no health; answers whether it is dead now.
local function lay_to_rest(owner)
  if call('EXISTS', '@health@' .. owner) == 1 then return false end
  if call('EXISTS', '@dead@' .. owner) == 0 then call('SET', '@dead@' .. owner, '1', 'EX', @tombstone@) end
  return true
end

-- Deletes the registration of connection c where it is still the owner's. Its generation stays: should the owner be a
-- process that only slept, it re-asserts the stream under its next name, and nobody took it in between.
local function clear(c, owner)
  local registration = call('GET', '@connections@' .. c)
  if not registration or owner_of(registration) ~= owner and not @bug_plain_del@ then return 0 end
  return call('DEL', '@connections@' .. c)
end
