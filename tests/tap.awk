# SPDX-License-Identifier: GPL-2.0
#
# Counts test points in TAP, of one program or of many after each other. What did
# not happen counts as failed: points that a plan promised, a stream without a
# plan, a program ("# exit STATUS NAME") or command (-v status=N) that ended badly
# without saying why.
#
# Prints "PASSED FAILED SKIPPED"; each failure goes to the file -v failures=F.

function fail(what)
{
	failed++
	bad_since_exit = 1
	print what >failures
}

# The end of one TAP stream: was every promise kept?
function finish()
{
	if (open && plan < 0)
		fail("no plan" where())
	else if (open && seen < plan)
		fail(plan - seen " of " plan " tests did not run" where())
	open = 0
}

function begin()
{
	finish()
	open = 1
	plan = -1
	seen = 0
}

function where()
{
	return program == "" ? "" : " in " program
}

BEGIN {
	passed = failed = skipped = 0
	plan = -1
}

/^TAP version / {
	begin()
	next
}

/^1\.\.[0-9]+/ {
	if (!open)
		begin()
	plan = substr($1, 4) + 0
	total++
	next
}

/^(not )?ok( |$)/ {
	if (!open)
		begin()
	seen++
	if (/^not ok/)
		fail($0 where())
	else if (/# SKIP/)
		skipped++
	else
		passed++
	next
}

/^Bail out!/ {
	fail($0 where())
	next
}

/^# program / {
	finish()
	program = $3
	bad_since_exit = 0
	next
}

# 4 is kselftest's way to say that all was skipped.
/^# exit [0-9]+ / {
	finish()
	if ($3 != 0 && $3 != 4 && !bad_since_exit)
		fail($4 " exited with " $3)
	program = ""
	bad_since_exit = 0
	next
}

END {
	finish()
	if (status != 0 && !failed)
		fail("the command exited with " status)
	if (!total)
		fail("no test ran")
	print passed, failed, skipped
}
