-- ARGV: run, now, pod
local pod = ARGV[3]
if call('EXISTS', '@health@' .. pod) == 1 then return 'alive' end
if call('EXISTS', '@dead@' .. pod) == 0 then call('SET', '@dead@' .. pod, '1', 'EX', @tombstone@) end
return 'buried'
