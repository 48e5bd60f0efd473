-- Takes a pod out of its cluster, some hundred of its streams and tasks at a time. ARGV: run, now, pod, cluster.
-- Answers how many are left.
local pod = ARGV[3]
call('DEL', '@health@' .. pod)
call('ZREM', '@nodes@' .. ARGV[4], pod)
for _, c in ipairs(call('SPOP', '@held@' .. pod, 200)) do
  local holder = call('GET', '@connections@' .. c)
  if holder and pod_of(holder) == pod then let_go(c, tonumber(call('HGET', '@meta@' .. c, 'gen') or 0)) end
end
call('SREM', '@idle@' .. ARGV[4], pod)
for _, t in ipairs(call('SPOP', '@claims@' .. pod, 200)) do enqueue(t) end
return call('SCARD', '@held@' .. pod) + call('SCARD', '@claims@' .. pod)
