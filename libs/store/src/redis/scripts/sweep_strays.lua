-- Buries an owner whom nobody knows, and deletes its registrations. ARGV: run, now, cluster, token, owner, the owner's
-- cluster, connection... Answers how many were deleted.
local owner, home = ARGV[5], ARGV[6]
if comes_too_late(ARGV[3], ARGV[4]) then return {'late'} end
if call('ZSCORE', '@nodes@' .. home, owner) or not lay_to_rest(owner) then return {'known'} end
local deleted = 0
for i = 7, #ARGV do
  deleted = deleted + clear(ARGV[i], owner)
  call('SREM', '@held@' .. owner, ARGV[i])
end
return {'done', deleted}
