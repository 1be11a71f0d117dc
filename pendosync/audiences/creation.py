"""A run's calls to its audience: it is created once at most, and its id written down before anything else is sent."""

from __future__ import annotations

from dataclasses import replace

from pendosync.answers import read_created, read_deletion, read_patch
from pendosync.audiences.held import read_audiences
from pendosync.client import Answer, Client
from pendosync.errors import PushError, RemoteError, counted, listed
from pendosync.plans import Plan
from pendosync.results import BatchResult, Creation
from pendosync.runfile import RunRecord
from pendosync.shapes import Shape, Step


class AudienceCalls:
    """What becomes of a run's audience while its plan is sent; of other routes it knows nothing.

    Args:
        plan, client, record: as the run has them.
    """

    def __init__(self, plan: Plan, client: Client, record: RunRecord) -> None:
        self._plan = plan
        self._client = client
        self._record = record
        self._created = record.creation() if plan.shape.creates_audience else Creation()

    @property
    def shape(self) -> Shape:
        """The plan's shape; once the audience is created, with its id."""
        return self._plan.shape.joined(self._created.id) if self._created.id else self._plan.shape

    def is_creating(self, method: str) -> bool:
        """Whether a request creates the audience: it may not be repeated."""
        return self._plan.shape.creates_audience and method == "POST"

    async def ensure_free(self) -> None:
        """Return nothing where no audience has the name of the one to create, or where Pendo does not say.

        What an answer that is lost leaves open is found by that name.

        Raises:
            PushError: one has it.
        """
        audience = self._plan.shape.audience
        if audience is None or not audience.is_new or self._created.was_asked:
            return
        try:
            known = await read_audiences(self._client)
        except RemoteError:
            return
        same = [id_ for id_, name in known.items() if name == audience.name]
        if same:
            raise PushError(
                f"An audience called {audience.name!r} came to be since the plan was made ({listed(same)}). Expected that "
                f"name to be free. Hint: plan_audience(plan, client=client, audience_id={same[0]!r}) adds to it.",
                run_id=self._record.run_id,
            )

    def ensure_created(self, step: Step) -> None:
        """Return nothing where the requests of *step* have an audience to go to, or create it.

        Raises:
            PushError: none was created, as Pendo took no id of the first request.
        """
        if step.number and self.shape.creates_audience:
            raise PushError(
                f"The {self.shape.audience} was not created, as Pendo took none of the first ids. Expected an audience for the "
                f"others. Hint: read_outcomes(journal, {self._record.run_id!r}) says why; then plan_audience again.",
                run_id=self._record.run_id,
            )

    def begin(self) -> None:
        """Write that the audience is about to be created.

        Raises:
            PushError: it may have been created already.
            JournalError: it can't be written; nothing may be sent.
        """
        if self._created.was_asked:
            raise PushError(
                "The audience was, or may have been, created already. Expected to create it once. "
                "Hint: resume_push looks for it by its name.",
                run_id=self._record.run_id,
            )
        self._record.record_creating()
        self._created = Creation(was_asked=True)

    def give_back(self) -> None:
        """Write that Pendo was asked and did not create it: it may be asked again."""
        self._record.record_not_created()
        self._created = Creation()

    def read(self, method: str, body: bytes, answer: Answer) -> BatchResult:
        """Return what an answer says of a request's ids, and write down the id of an audience that was created."""
        if method == "DELETE":
            return read_deletion(answer)
        if not self.is_creating(method):
            return read_patch(answer, body)
        result, id_ = read_created(answer)
        if id_:
            self._record.record_created(id_, is_answered=True)
            self._created = Creation(True, id_, is_answered=True)
        return result

    def read_error(self, method: str, error: RemoteError, result: BatchResult) -> BatchResult:
        """Return what an error says of a request's ids, where that is more than *result*."""
        if self.is_creating(method):
            if error.in_doubt:
                # in parts it would be created again
                return replace(result, is_refused=False, is_too_long=False)
            self.give_back()
        if method == "DELETE" and error.status == 404:
            return _gone(result)
        return result


def _gone(result: BatchResult) -> BatchResult:
    if result.status == "unknown":
        return BatchResult("updated", "it was in flight, and the audience is gone", http_status=404)
    return BatchResult("missing", "Pendo has no such audience any more, or not for this key", http_status=404)


def settle_creation(record: RunRecord, plan: Plan, client: Client, *, again: bool) -> None:
    """Find the audience that a run may have created, by its name, where the answer that held its id was lost.

    Args:
        record: of the run that goes on.
        plan, client: as the run has them.
        again: where no audience has the name, it is to be created once more.

    Raises:
        PushError: not exactly one audience has that name, or Pendo does not say; nothing is sent.
    """
    audience = plan.shape.audience
    if audience is None or not audience.is_new or not record.creation().is_in_doubt:
        return
    try:
        known = client.call(read_audiences, client)
    except RemoteError as error:
        raise _stopped(record, audience.name, f"the audiences can't be listed ({error})") from None
    same = [id_ for id_, name in known.items() if name == audience.name]
    if len(same) == 1:
        record.record_created(same[0], is_answered=False)
    elif again and not same:
        record.record_not_created()
    else:
        found = f"{counted(len(same), 'audience')} of that name are there: {listed(same)}"
        raise _stopped(
            record, audience.name, found if same else "no audience of that name is listed", is_none=not same
        )


def _stopped(record: RunRecord, name: str, found: str, *, is_none: bool = False) -> PushError:
    run = repr(record.run_id)
    once_more = f"; where it is not, resume_push(journal, {run}, client=client, resend='all') creates it"
    sentence = (
        f"Pendo was asked to create the audience {name!r}, the answer with its id was lost, and {found}. Expected one "
        f"audience of that name. Hint: look for it in Pendo; where it is there, plan_audience(read_plan(journal, {run}), "
        f"client=client, audience_id='…') fills it{once_more if is_none else ''}."
    )
    record.record_end("stopped", sentence)
    return PushError(sentence, run_id=record.run_id)
