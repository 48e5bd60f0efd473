-- Lets some of what a buried pod had claimed wait for others. ARGV: run, now, cluster, token, pod.
local cluster, pod = ARGV[3], ARGV[5]
if comes_too_late(cluster, ARGV[4]) then return {'late'} end
if call('EXISTS', '@dead@' .. pod) == 0 then return {'notburied'} end
local moved = 0
for _, t in ipairs(call('SPOP', '@claims@' .. pod, 100)) do
  if call('HGET', '@state@' .. t, 'pod') == pod then
    call('HINCRBY', '@state@' .. t, 'deaths', 1)
    if enqueue(t) then moved = moved + 1 end
  end
end
return {'done', moved, call('SCARD', '@claims@' .. pod)}
