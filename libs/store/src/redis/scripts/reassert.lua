-- Repeats what a pod holds. ARGV: run, now, pod, cluster, then for each stream: connection, generation, epoch,
-- offset, whether it heard that it has the stream, number of tasks, task...
local pod, cluster = ARGV[3], ARGV[4]
local refused = refusal(pod)
if refused then return {refused} end
local answers, i = {}, 5
while i <= #ARGV do
  local c, generation, epoch, offset = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local gained, count = ARGV[i + 4], tonumber(ARGV[i + 5])
  i = i + 6
  local here, off = history(c)
  local known = tonumber(call('HGET', '@meta@' .. c, 'gen') or 0)
  if known > tonumber(generation) then
    answers[#answers + 1] = {call('HEXISTS', '@meta@' .. c, 'closed') == 1 and 'closed' or 'replaced'}
  else
    if epoch == here and tonumber(offset) > off then renew(c, off) end
    for j = i, i + count - 1 do
      -- The store forgot where the task belongs; its runner may be silent for long.
      if home_of(ARGV[j]) then keep_task(ARGV[j]) else attach(c, ARGV[j]) end
    end
    call('HSET', '@meta@' .. c, 'gen', generation)
    local old = hold(c, pod, cluster)
    if old and old ~= pod then call('PUBLISH', '@channel@' .. old, 'X\t' .. c .. '\t' .. generation) end
    if gained == '0' then call('PUBLISH', '@channel@' .. pod, 'R\t' .. c .. '\t' .. generation) end
    keep_connection(c)
    here, off = history(c)
    answers[#answers + 1] = {'held', here, int(off), call('ZRANGEBYSCORE', '@tasks@' .. c, 0, 0)}
  end
  i = i + count
end
return {'streams', answers}
