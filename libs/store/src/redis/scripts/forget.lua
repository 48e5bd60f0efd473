-- Takes a swept node out of its cluster, once nothing of it is left. ARGV: run, now, cluster, token, pod
local cluster, pod = ARGV[3], ARGV[5]
if comes_too_late(cluster, ARGV[4]) then return 'late' end
if call('EXISTS', '@dead@' .. pod) == 0 then return 'notburied' end
-- Whatever a pod can leave behind is asked for here.
if call('SCARD', '@held@' .. pod) + call('SCARD', '@claims@' .. pod) > 0 then return 'remains' end
call('ZREM', '@nodes@' .. cluster, pod)
return 'forgotten'
