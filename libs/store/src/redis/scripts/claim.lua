-- Takes waiting tasks for a pod, the oldest first. ARGV: run, now, pod, cluster, how many.
local pod, cluster, most = ARGV[3], ARGV[4], tonumber(ARGV[5])
local refused = refusal(pod)
if refused then return {refused} end
local claims = {}
while #claims < most do
  local t = call('ZPOPMIN', '@waiting@' .. cluster)[1]
  if not t then break end
  local state = call('HMGET', '@state@' .. t, 'final', 'cluster', 'attempt', 'connection', 'kind', 'fingerprint', 'at',
    'acceptor', 'trace', 'deaths')
  if state[1] ~= '1' and state[2] then
    local attempt = int(math.max(tick(), tonumber(state[3] or 0) + 1))
    call('HSET', '@state@' .. t, 'pod', pod, 'attempt', attempt)
    if not @bug_early_ack@ then call('SADD', '@claims@' .. pod, t) end
    call('PUBLISH', '@channel@' .. state[8], 'T\t' .. t)
    keep_task(t)
    claims[#claims + 1] = {t, home_of(t) or state[4], cluster, state[5], state[6], state[7], state[8], state[9],
      call('GET', '@body@' .. t) or '', attempt, state[10] or '0'}
  end
end
if #claims < most then
  call('SADD', '@idle@' .. cluster, pod)
  call('EXPIRE', '@idle@' .. cluster, @ttl@)
else
  call('SREM', '@idle@' .. cluster, pod)
end
return {'tasks', claims}
