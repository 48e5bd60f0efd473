-- Deletes registrations of a buried pod. ARGV: run, now, cluster, token, pod, how many at most. Answers how many were
-- deleted, and how many are left.
local pod = ARGV[5]
if comes_too_late(ARGV[3], ARGV[4]) then return {'late'} end
if call('EXISTS', '@dead@' .. pod) == 0 and not @bug_no_tombstone@ then return {'notburied'} end
local deleted = 0
for _, c in ipairs(call('SPOP', '@held@' .. pod, ARGV[6])) do deleted = deleted + clear(c, pod) end
return {'done', deleted, call('SCARD', '@held@' .. pod)}
