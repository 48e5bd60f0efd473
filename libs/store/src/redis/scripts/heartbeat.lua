-- ARGV: run, now, pod, cluster, milliseconds for which the word counts; they are kept, so that its age can be told.
local pod = ARGV[3]
if call('EXISTS', '@dead@' .. pod) == 1 then return 'buried' end
call('SET', '@health@' .. pod, ARGV[5], 'PX', ARGV[5])
call('ZADD', '@nodes@' .. ARGV[4], int(tick()), pod)
-- Not even a day without any pod makes a cluster forget its dead: whoever comes next finds them here.
call('PERSIST', '@nodes@' .. ARGV[4])
return 'alive'
