-- What is known of the nodes of a cluster. ARGV: run, now, cluster. Answers the server's life, for how many microseconds
-- it is known here, the note of the last sweep, and for each node: pod, milliseconds since it said that it lives (-1 where
-- that counts no more), whether it is buried, how many registrations it has.
local index, state = '@nodes@' .. ARGV[3], '@sweep@' .. ARGV[3]
local now = tick()
local known = call('HMGET', state, 'run', 'since', 'note')
if known[1] ~= RUN then
  known[2] = int(now)
  call('HSET', state, 'run', RUN, 'since', known[2])
end
call('EXPIRE', state, @ttl@)
local nodes = {}
for _, pod in ipairs(call('ZRANGE', index, 0, -1)) do
  if #pod > 64 or string.find(pod, '[^%w._~-]') then
    -- Nobody's id: somebody wrote it by hand.
    call('ZREM', index, pod)
  else
    local left, age = call('PTTL', '@health@' .. pod), -1
    if left >= 0 then
      local lasts = tonumber(call('GET', '@health@' .. pod))
      age = math.max(0, (lasts or left) - left)
    end
    nodes[#nodes + 1] = {pod, int(age), call('EXISTS', '@dead@' .. pod), call('SCARD', '@held@' .. pod)}
  end
end
return {RUN, int(math.max(0, now - tonumber(known[2]))), known[3] or '', nodes}
