-- What a pod holds, if that is more than it thinks. ARGV: run, now, pod, how many it thinks. Answers connection,
-- generation, connection, generation ...
local pod, index = ARGV[3], '@held@' .. ARGV[3]
local found = {}
if call('SCARD', index) <= tonumber(ARGV[4]) then return found end
for _, c in ipairs(call('SMEMBERS', index)) do
  local holder = call('GET', '@connections@' .. c)
  if holder and pod_of(holder) == pod then
    found[#found + 1] = c
    found[#found + 1] = call('HGET', '@meta@' .. c, 'gen') or '0'
  else
    call('SREM', index, c)
  end
end
return found
