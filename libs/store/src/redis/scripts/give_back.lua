-- Lets tasks wait for others, where this is their latest run. ARGV: run, now, pod, then for each run: task, attempt.
local pod = ARGV[3]
for i = 4, #ARGV, 2 do
  local t = ARGV[i]
  local state = call('HMGET', '@state@' .. t, 'attempt', 'pod')
  if state[1] == ARGV[i + 1] and state[2] == pod then
    call('SREM', '@claims@' .. pod, t)
    enqueue(t)
  end
end
return 'done'
