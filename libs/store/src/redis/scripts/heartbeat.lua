-- ARGV: run, now, pod, cluster
local pod = ARGV[3]
if call('EXISTS', '@dead@' .. pod) == 1 then return 'buried' end
call('SET', '@health@' .. pod, '1', 'EX', @node_timeout@)
call('ZADD', '@nodes@' .. ARGV[4], int(tick()), pod)
-- Not even a day without any pod makes a cluster forget its dead: whoever comes next finds them here.
call('PERSIST', '@nodes@' .. ARGV[4])
return 'alive'
