-- Repeats what a pod runs. ARGV: run, now, pod, cluster, then for each run: task, attempt.
local pod = ARGV[3]
local refused = refusal(pod)
if refused then return {refused} end
local named, lost, forgotten = {}, {}, {}
for i = 5, #ARGV, 2 do
  local t = ARGV[i]
  named[t] = true
  if not call('HGET', '@state@' .. t, 'cluster') then
    forgotten[#forgotten + 1] = t
  elseif not go_on(t, pod, ARGV[i + 1]) then
    lost[#lost + 1] = t
  end
end
-- The pod does not know that it claimed these: the answer was lost.
for _, t in ipairs(call('SMEMBERS', '@claims@' .. pod)) do
  if not named[t] then
    call('SREM', '@claims@' .. pod, t)
    enqueue(t)
  end
end
return {'claims', lost, forgotten}
