"""Guards count only if a test fails without them: each is taken out of a copy of the source, and its test has to notice."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "standpipe"
TAMPERED = "tests/drivers/test_log_chain.py::test_every_tampering_is_found"
FAULTS = "tests/ends/test_storage_faults.py"


class Mutation(NamedTuple):
    """A guard, where it stands, its text (which must stand there once), what it becomes, and the test that must fail then."""

    guard: str
    file: str
    text: str
    instead: str
    test: str


MUTATIONS = [
    # --- what the log promises ----------------------------------------------------------------------------------------
    Mutation(
        "a stale writer is refused",
        "drivers/log/judge.py",
        "if append.expect_seq != found.seq or found.repeated:",
        "if found.repeated:",
        "tests/conformance/test_log.py::test_of_appends_to_one_log_at_once_one_is_written",
    ),
    Mutation(
        "a late owner is fenced",
        "drivers/log/judge.py",
        "if append.fence is not None and append.fence != found.fence:",
        "if False:",
        "tests/conformance/test_log_leases.py::test_a_late_owner_can_write_nothing",
    ),
    Mutation(
        "the revision is compared at the append",
        "drivers/log/judge.py",
        "if append.access_revision is not None and found.revoked > append.access_revision:",
        "if False:",
        "tests/conformance/test_log.py::test_only_a_newer_revocation_of_the_same_tenant_makes_an_append_stale",
    ),
    Mutation(
        "a request is admitted once",
        "drivers/log/judge.py",
        "if append.expect_seq != found.seq or found.repeated:",
        "if append.expect_seq != found.seq:",
        "tests/conformance/test_log.py::test_a_request_is_admitted_once",
    ),
    Mutation(
        "no ledger row goes over its limit",
        "drivers/log/judge.py",
        "if limits and grows and after.held + after.spent > min(limits):",
        "if False:",
        "tests/conformance/test_log_ledger.py::test_of_many_sessions_at_once_only_those_that_fit_get_money",
    ),
    Mutation(
        "a lease of somebody alive is not taken",
        "drivers/log/judge.py",
        "if lease.owner is not None and lease.until >= now and not dead(lease.owner):",
        "if False:",
        "tests/conformance/test_log_leases.py::test_a_lease_is_held_until_it_lapses",
    ),
    Mutation(
        "each lease has a fence of its own",
        "drivers/log/judge.py",
        "return Lease(lease.fence + 1, until, owner, head,",
        "return Lease(max(lease.fence, 1), until, owner, head,",
        "tests/conformance/test_log_leases.py::test_a_late_owner_can_write_nothing",
    ),
    Mutation(
        "a frame's bytes are held against its digest",
        "drivers/log/chain.py",
        "if digest_bytes(stored.data) != stored.digest:",
        "if False:",
        TAMPERED,
    ),
    Mutation("a frame names the one before it", "drivers/log/chain.py", "if frame.prev != prev:", "if False:", TAMPERED),
    Mutation(
        "a commit names all that it wrote",
        "drivers/log/chain.py",
        "if digest_commit(self._prev, self._heads) != commit.digest:",
        "if False:",
        TAMPERED,
    ),
    # --- the disk -----------------------------------------------------------------------------------------------------
    Mutation(
        "a commit is synced before it is acknowledged",
        "drivers/sqlite_file.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF",
        f"{FAULTS}::test_power_may_go_at_any_write_or_sync[0-lost]",
    ),
    Mutation(
        "nobody is told before the commit",
        "drivers/sqlite.py",
        "_tell(jobs, self._commit(outcomes or self._fill(jobs)))\n                self._checkpoint()",
        "_tell(jobs, outcomes := outcomes or self._fill(jobs))\n                self._commit(outcomes)",
        "tests/drivers/test_store.py::test_a_caller_goes_on_when_its_bytes_are_there_for_others",
    ),
    Mutation(
        "after a failed sync nothing is written",
        "drivers/sqlite.py",
        'if getattr(error, "extendedresult", 0) in SYNC_FAILED:',
        "if False:",
        f"{FAULTS}::test_after_a_failed_sync_the_process_writes_nothing_any_more[0]",
    ),
    Mutation(
        "what a failed sync left is written anew",
        "drivers/sqlite_file.py",
        "con.wal_checkpoint()",
        "pass",
        f"{FAULTS}::test_after_a_failed_sync_the_process_writes_nothing_any_more[0]",
    ),
    Mutation(
        "what a call came to outlives a fault of the store",
        "engine/drive.py",
        "self.unrecorded += [one for one in (*arrived, *self.works.taken()) if isinstance(one, Outcome | Answered | Kept)]",
        "pass",
        f"{FAULTS}::test_an_effect_under_way_comes_to_its_end_and_is_recorded_when_the_store_is_back",
    ),
    Mutation(
        "an answer not yet remembered is owed",
        "engine/beside.py",
        "owes=not all(closed.remembered for closed in state.closed),",
        "owes=False,",
        f"{FAULTS}::test_work_goes_on_in_the_same_process_when_the_disk_does[0-full]",
    ),
    Mutation(
        "a body goes only when nobody else holds it",
        "engine/erase.py",
        "hashes - others, seen)",
        "hashes, seen)",
        "tests/ends/test_cli_erase.py::test_what_another_session_holds_too_stays_until_that_is_erased_as_well",
    ),
    Mutation(
        "what is erased is overwritten",
        "drivers/sqlite.py",
        "PRAGMA secure_delete = ON",
        "PRAGMA secure_delete = OFF",
        "tests/ends/test_cli_erase.py::test_a_session_is_erased_and_the_log_stays_whole",
    ),
    Mutation(
        "a missing body that nobody had erased is missed",
        "engine/verify.py",
        "if item.id not in gone:",
        "if False:",
        "tests/ends/test_cli_erase.py::test_a_body_that_nobody_had_erased_is_missed",
    ),
    # --- effects ------------------------------------------------------------------------------------------------------
    Mutation(
        "the intent is durable before the effect",
        "engine/drive.py",
        "answer = await setup.ports.log.append(self._append(events, looked.world, moves, now))\n",
        "self.mine.update(e.fact.call for e in events if isinstance(e.fact, CallGranted))\n"
        "            self._perform_what_is_owed()\n"
        "            await asyncio.sleep(0.001)\n"
        "            answer = await setup.ports.log.append(self._append(events, looked.world, moves, now))\n",
        f"{FAULTS}::test_power_may_go_at_any_write_or_sync[0-lost]",
    ),
    Mutation(
        "an effect begins only under a lease in force",
        "engine/perform.py",
        "if _revoked(ports, job) or lapsed(ports, job):",
        "if _revoked(ports, job):",
        "tests/ends/test_stopped_owner.py",
    ),
    Mutation(
        "an effect begins only with rights in force",
        "engine/perform.py",
        "if _revoked(ports, job) or lapsed(ports, job):",
        "if lapsed(ports, job):",
        "tests/test_api_revoked.py::test_a_tool_is_not_called_when_the_right_went_after_the_grant",
    ),
    Mutation(
        "what is in doubt is not repeated",
        "core/effects.py",
        "if call.purpose != ASK and not sure:",
        "if False:",
        "tests/core/test_effects.py::test_what_is_idempotent_runs_again_and_what_is_not_stays_in_doubt",
    ),
    Mutation(
        "all attempts of a step have one key",
        "core/gate.py",
        "return digest([step.session or state.session, turn.id, step.spec.id])",
        "return digest([step.session or state.session, turn.id, step.spec.id, step.attempts])",
        "tests/core/test_gate.py::test_a_call_that_is_tried_again_keeps_its_key",
    ),
    Mutation(
        "a call that is over is not ended again",
        "engine/drive.py",
        "if one.call in opened:\n                        opened.discard(one.call)",
        "if True:\n                        opened.discard(one.call)",
        "tests/test_api_trouble.py::test_what_was_recorded_as_a_drive_broke_off_is_not_recorded_again",
    ),
    # --- the gate -----------------------------------------------------------------------------------------------------
    Mutation(
        "nothing is granted that could not be paid",
        "core/gate.py",
        "if (hold + kept + taken).short(budget.free(turn, final=False)):",
        "if False:",
        "tests/core/test_gate.py::test_a_tool_call_needs_budget",
    ),
    Mutation(
        "nothing is granted that is not permitted",
        "core/gate.py",
        "if permitted == permit.NOT_FOUND:",
        "if False:",
        "tests/core/test_gate.py::test_what_is_forbidden_is_refused_and_ends_its_step",
    ),
    Mutation(
        "what cannot be undone is approved first",
        "core/consent.py",
        'return tool.approval or tool.effect == "irreversible" or',
        "return tool.approval or",
        "tests/core/test_gate.py::test_an_irreversible_call_asks_first_and_is_granted_on_yes",
    ),
    Mutation(
        "a yes is for exactly one call, on what it was asked on",
        "core/consent.py",
        "if ask.intent and (ask.intent, ask.sources) != (meant, versions):",
        "if False:",
        "tests/core/test_consent.py::test_a_yes_is_void_for_other_arguments",
    ),
    Mutation(
        "a tool that the rules keep from a principal is not there",
        "engine/standing.py",
        "tools=tuple(tool for tool in agent.tools if ever(tool))",
        "tools=agent.tools",
        "tests/test_api_rules.py::test_a_model_sees_the_tools_that_its_principal_could_ever_call",
    ),
    Mutation(
        "a rule that forbids and breaks off forbids",
        "drivers/access/cedar.py",
        "if any(found is None or self._rules[found[1]].forbids for found in broken):",
        "if False:",
        "tests/drivers/test_cedar.py::test_a_rule_that_forbids_and_breaks_off_forbids",
    ),
    Mutation(
        "what a call cost is settled when it is over",
        "core/decide.py",
        "    _settle,\n",
        "",
        "tests/core/test_loop.py::test_what_a_call_cost_is_known_before_anything_follows_from_it",
    ),
    Mutation(
        "nothing costs more than was held for it",
        "core/budget.py",
        "microusd=min(call.hold.microusd, max(0, -(-micro // 1_000_000))),",
        "microusd=max(0, -(-micro // 1_000_000)),",
        "tests/core/test_budget.py::test_no_settlement_is_above_its_hold_whatever_was_reported",
    ),
    Mutation(
        "a wish that was admitted becomes nothing again",
        "core/admit.py",
        "if wish.request in state.requests or world.seen:",
        "if False:",
        "tests/core/test_admit.py::test_a_request_that_was_admitted_becomes_nothing_again",
    ),
    # --- forks --------------------------------------------------------------------------------------------------------
    Mutation(
        "what the session forked from did is not done again",
        "core/gate.py",
        "            recorded=found,\n",
        "            recorded=0,\n",
        "tests/test_fork.py::test_an_effect_that_the_parent_had_after_the_cut_is_taken_from_its_log",
    ),
    Mutation(
        "a fork changes nothing unless somebody allows it",
        "core/consent.py",
        'bool(state.parent and tool.effect != "read")',
        "False",
        "tests/test_fork.py::test_a_fork_asks_models_and_reads_anew_and_does_nothing_again",
    ),
    Mutation(
        "an effect that was open at the cut is in doubt in the fork",
        "engine/fork.py",
        "CallCancelled(call.id, LEFT, unknown=True)",
        "CallCancelled(call.id, LEFT)",
        "tests/test_fork.py::test_an_effect_that_was_open_at_the_cut_is_never_performed_again",
    ),
    Mutation(
        "what the session forked from holds is not the fork's",
        "core/inherit.py",
        "            call.hold = NOTHING\n",
        "            pass\n",
        "tests/core/test_fork_rules.py::test_a_fork_holds_what_is_left_and_pays_for_what_follows",
    ),
    # --- models and answers -------------------------------------------------------------------------------------------
    Mutation(
        "a reply without its terminal event is none",
        "wire/openai_chat_reply.py",
        "if not self._complete or not self._finish:",
        "if False:",
        "tests/wire/test_openai_chat_reply.py::test_what_is_no_reply_is_a_fault",
    ),
    Mutation(
        "no prompt is sent with what was revoked since",
        "engine/perform.py",
        "    if _revoked(ports, job):\n",
        "    if False:\n",
        "tests/test_api_revoked.py::test_a_model_is_not_shown_what_was_revoked_while_its_prompt_was_read",
    ),
    Mutation(
        "an answer is looked at once more before it is handed over",
        "engine/house.py",
        "self._answer = None if closed else self._summary.body",
        "self._answer = self._summary.body",
        "tests/test_api_revoked.py::test_an_answer_is_not_handed_over_when_the_right_went_as_the_turn_ended",
    ),
]


def test_each_guard_stands_where_it_is_said_to_stand_and_its_test_exists() -> None:
    for mutation in MUTATIONS:
        assert (SOURCE / mutation.file).read_text(encoding="utf-8").count(mutation.text) == 1, mutation.guard
        file, _, name = mutation.test.partition("::")
        tests = {
            node.name for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
        }
        assert not name or name.partition("[")[0] in tests, mutation.guard


def test_the_guards_that_must_be_here_are() -> None:
    """Stale-writer refusal, fence, fsync, intent before effect, terminal check, settle, revision check at append."""
    assert {
        "a stale writer is refused",
        "a late owner is fenced",
        "a commit is synced before it is acknowledged",
        "the intent is durable before the effect",
        "a reply without its terminal event is none",
        "what a call cost is settled when it is over",
        "the revision is compared at the append",
    } <= {mutation.guard for mutation in MUTATIONS}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The source, to be changed."""
    shutil.copytree(SOURCE, tmp_path / "src" / "standpipe", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "src"


def tried(source: Path, tests: list[str]) -> subprocess.CompletedProcess[str]:
    """Run tests on this source, and on no other."""
    run = (
        "import sys, pathlib, pytest, standpipe\n"
        "home = pathlib.Path(sys.argv[1])\n"
        "if home not in pathlib.Path(standpipe.__file__).parents: sys.exit(70)\n"
        "sys.exit(pytest.main(['-x', '-q', '-p', 'no:cacheprovider', '-p', 'no:xdist', *sys.argv[2:]]))\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-c", run, str(source), *tests],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_as_the_code_is_all_these_tests_pass(copy: Path) -> None:
    done = tried(copy, list(dict.fromkeys(mutation.test for mutation in MUTATIONS)))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.guard)
def test_without_the_guard_its_test_fails(mutation: Mutation, copy: Path) -> None:
    file = copy / "standpipe" / mutation.file
    file.write_text(file.read_text(encoding="utf-8").replace(mutation.text, mutation.instead), encoding="utf-8")
    done = tried(copy, [mutation.test])
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, f"{done.returncode}: {done.stdout}{done.stderr}"
