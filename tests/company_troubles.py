"""What goes wrong in invented companies: troubles with a found reason, and troubles whose named reason is not the real one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an incident report says, by part; `{s}` is the service in trouble, `{t}` another one, `{n}` a number."""

    slug: str
    title: str
    summary: str
    reason: str
    impact: str
    timeline: tuple[str, ...]
    factors: tuple[str, ...]
    lessons: tuple[str, ...]
    actions: tuple[str, ...]


FOUND = (
    Trouble(
        "expired-certificate",
        "expired certificate at the edge of {s}",
        "The certificate of {s} expired and clients refused to connect until a new one was installed.",
        "The renewal job had lost its access weeks earlier.",
        "No client could reach {s} for {n} minutes.",
        ("The certificate expires.", "Customer care reports that {s} cannot be reached.", "A new certificate is installed."),
        ("The alarm on the remaining lifetime looked at another region.", "The renewal job fails without a message."),
        ("Customer care noticed it earlier than any alarm.",),
        ("Raise an alarm fourteen days ahead.", "Renew all certificates with one job."),
    ),
    Trouble(
        "full-disk",
        "database of {s} stops accepting writes",
        "The disk of the database filled up with logs that could not be archived, and {s} answered every write with an error.",
        "The archive refused uploads because its credentials were too old.",
        "Customers could read but not change anything for {n} minutes.",
        ("The archive begins to refuse uploads.", "The disk is full.", "Old logs are moved away and writes are accepted."),
        ("The disk alarm fired too late to act on it.", "Nobody watched the age of the archive."),
        ("The on-call engineers of two teams worked together from the start.",),
        ("Keep a reserve file that can be deleted.", "Raise an alarm when the archive is behind."),
    ),
    Trouble(
        "missing-index",
        "duplicates after a migration of {s}",
        "A migration rebuilt a table of {s} and did not create its unique index again, so some rows were written twice.",
        "The migration was written by hand and left the index out.",
        "{n} customers saw an entry twice.",
        ("The migration runs.", "A customer reports a duplicate.", "The index is created again."),
        ("The code relied on the index to settle races.", "Nobody compared the indexes afterwards."),
        ("The duplicates could be told apart and removed.",),
        ("Compare indexes before and after each migration.",),
    ),
    Trouble(
        "flag-default",
        "feature of {s} shown to everybody",
        "A deployment of {s} brought a flag without a default, which was taken as switched on.",
        "The default of a flag was decided by the code that read it.",
        "{n} customers used a feature that nobody could serve.",
        ("The deployment of {s} begins.", "The new version runs everywhere.", "{s} is rolled back."),
        ("The canary ran with the flag switched off.", "The change request did not mention the flag."),
        ("Rolling back took only a few minutes.",),
        ("Refuse to start when a flag has no default.", "Write defaults into the change request."),
    ),
    Trouble(
        "name-resolution",
        "names do not resolve",
        "A third of all name look-ups failed, and {s} and {t} could not find each other.",
        "One resolver had been moved to a host with a wrong firewall rule.",
        "Every second request to {s} failed for {n} minutes.",
        ("A resolver is moved to another host.", "Alarms of several teams fire together.", "The resolver is removed."),
        ("Failed look-ups were cached for minutes.", "The resolver counted as ready although it reached nobody."),
        ("Too many people looked at too many graphs.",),
        ("Cache failed look-ups for seconds only.", "Let the readiness test ask for a real name."),
    ),
    Trouble(
        "poison-event",
        "events of {s} processed hours late",
        "One malformed event crashed each consumer of {s} in turn, and the queue grew all morning.",
        "Attempts were counted per consumer and not per event.",
        "Messages to {n} customers were late.",
        ("The event is produced.", "The first consumer crashes and the event returns to the queue.", "The event is set aside."),
        ("The age of the oldest event was on a graph but had no alarm.", "The form accepted more letters than the consumer."),
        ("Nothing was lost, only late.",),
        ("Count attempts on the event.", "Page somebody when the oldest event is too old."),
    ),
    Trouble(
        "cache-purge",
        "slow pages after a cache was purged",
        "An editor purged the whole cache instead of one entry, and all readers of {s} went to the database at the same time.",
        "The two buttons stood next to each other.",
        "Pages were slow for {n} minutes.",
        ("The purge is confirmed.", "The latency alarm of {s} fires.", "The cache is warm."),
        ("Equal requests were not merged.", "The purge did not ask how many entries were meant."),
        ("Merging equal requests had been built and was not switched on.",),
        ("Ask before purging more than a hundred entries.", "Merge equal requests."),
    ),
    Trouble(
        "slow-supplier",
        "answers of a supplier slow down {s}",
        "A supplier answered slowly for most of an afternoon, and {s} held row locks while it waited.",
        "The supplier moved its data centre.",
        "The median answer took {n} times as long as usual.",
        ("Answers of the supplier become slow.", "The on-call engineer telephones the supplier.", "The supplier has finished."),
        ("The announcement went to an address that nobody reads.", "A lock was held while waiting for another company."),
        ("The supplier answered the telephone at once.",),
        ("Never wait for a supplier while holding a lock.",),
    ),
    Trouble(
        "wrong-time-zone",
        "nightly job of {s} runs an hour early",
        "After the change to summer time the nightly job of {s} ran before its input was complete.",
        "The schedule was written in local time.",
        "Figures of {n} customers were incomplete until noon.",
        ("The job starts without the last hour of data.", "Accounting reports gaps.", "The job is run again."),
        ("Two schedules depended on each other without saying so.", "A short input did not raise an alarm."),
        ("Running the job twice did no harm.",),
        ("Write schedules in universal time.", "Start the job when its input is complete."),
    ),
    Trouble(
        "memory-leak",
        "processes of {s} killed one after the other",
        "A library kept every picture in memory, and processes of {s} were killed when they reached their limit.",
        "The library was updated along with many others.",
        "{n} requests failed while processes started again.",
        ("The new version runs everywhere.", "The first process is killed.", "{s} is rolled back."),
        ("The test in staging lasted only minutes.", "Memory was on a graph that nobody opened."),
        ("The former version was still in the registry.",),
        ("Run the load test for two hours.", "Update libraries one at a time."),
    ),
    Trouble(
        "crawler",
        "crawler overloads {s}",
        "A crawler asked {s} for every page in every language, and customers had to wait.",
        "The rule against crawlers had been switched off for a test.",
        "Customers waited {n} times as long as usual.",
        ("Traffic doubles.", "The on-call engineer blocks the network of the crawler.", "Traffic is normal."),
        ("The test ended months earlier and the rule stayed off.", "Pages for crawlers were not cached."),
        ("Blocking a network took one command.",),
        ("Switch rules on again automatically after a test.",),
    ),
    Trouble(
        "lost-credentials",
        "{s} cannot log in to its database",
        "The password of the database was changed on a schedule and {s} did not read the new one.",
        "Passwords were read once, when a process started.",
        "{s} was down for {n} minutes.",
        ("The password is changed.", "New connections of {s} are refused.", "All processes are started again."),
        ("The change of passwords had been tested with another program.", "The alarm spoke of the network."),
        ("Old connections went on working, which hid the trouble for a while.",),
        ("Read the password again when a login fails.",),
    ),
)
"""The named reason is the reason."""

MISREAD = (
    Trouble(
        "double-messages",
        "customers of {s} receive messages twice",
        "After a deployment of {s} some customers received the same message twice.",
        "Impatient customers who pressed the button again were thought to be the reason.",
        "{n} customers received two messages with different numbers.",
        ("The deployment of {s} begins.", "Answers take longer than usual.", "Customer care reports duplicates."),
        ("The button could be pressed again after some seconds.", "Repetitions are recognised by number only."),
        ("Nobody was charged twice.",),
        ("Disable the button until there is an answer.",),
    ),
    Trouble(
        "slow-campaign",
        "slow answers of {s} during a campaign",
        "Marketing started a campaign, and shortly afterwards customers of {s} waited up to a minute.",
        "The load of the campaign was taken for the reason, and {t} was given more processes.",
        "About {n} requests took longer than ten seconds.",
        (
            "The campaign starts.",
            "A deployment of {s} that had been planned for the morning is carried out.",
            "Answers are fast.",
        ),
        ("The campaign was not announced to everybody.", "{t} stayed within its limits the whole time."),
        ("The latency alarm fired within two minutes.",),
        ("Put campaigns into the calendar.",),
    ),
    Trouble(
        "stuck-entries",
        "entries of {s} remain pending",
        "During a deployment of {s} entries stopped at pending, and some minutes later they went through.",
        "A supplier was suspected first, since its error rate rose at the same time.",
        "No entry was completed for {n} minutes.",
        (
            "The canary has passed and the other processes are replaced.",
            "Completed entries fall to zero.",
            "Entries are completed.",
        ),
        ("Abandoned requests look like errors of the supplier.", "The deployment was done in larger groups than usual."),
        ("The page was acknowledged at once.",),
        ("Show abandoned requests separately.",),
    ),
    Trouble(
        "signed-out",
        "customers have to log in again",
        "Customers of {s} were logged out in the middle of their work.",
        "A change to the login page, made on the same day, was withdrawn as a precaution.",
        "{n} customers had to log in again, some of them several times.",
        ("The deployment of {s} is complete.", "Customers begin to complain.", "Complaints cease."),
        ("The login page and {s} were changed on one day.", "The error page did not say what was wrong."),
        ("Customer care had a good answer ready.",),
        ("Change one thing a day.",),
    ),
    Trouble(
        "wrong-figures",
        "figures of {s} differ from those of {t}",
        "For part of a day the figures that {s} showed were lower than those of {t}.",
        "A late delivery of data was assumed, but the delivery turned out to be complete.",
        "{n} reports had to be sent again.",
        ("A new version of {s} is started.", "Accounting compares the figures and reports gaps.", "The figures agree."),
        ("The comparison is made by hand.", "Small differences are usual, so nobody was alarmed."),
        ("The wrong reports could be told from the right ones.",),
        ("Compare the figures every hour by a job.",),
    ),
    Trouble(
        "half-empty-pages",
        "pages of {s} half empty in one region",
        "In one region pages of {s} lacked their lower part for a while.",
        "The network between the regions was suspected, but its graphs showed nothing.",
        "{n} customers saw half a page.",
        ("Instances of {s} are replaced.", "The first customer sends a picture of half a page.", "Pages are complete."),
        ("Half a page counts as a success.", "The two regions are not compared."),
        ("A picture from a customer helped most.",),
        ("Count incomplete pages as errors.",),
    ),
    Trouble(
        "late-jobs",
        "jobs of {s} finish too late",
        "Jobs of {s} started on time and finished after customers had come to work.",
        "The amount of data was blamed, although it had not grown.",
        "{n} customers began their day without fresh data.",
        ("A new version of {s} is in place.", "Jobs wait longer than usual for their turn.", "The last job is done."),
        ("A job that waits looks like a job that works.", "The end of the jobs has no alarm."),
        ("Customers were told early.",),
        ("Raise an alarm when a job is not done at six.",),
    ),
    Trouble(
        "refused-requests",
        "partners are refused by {s}",
        "Partners reported that {s} refused about every third request for a quarter of an hour.",
        "A partner's faulty client was held responsible, until a second partner wrote the same.",
        "{n} requests were refused and had to be repeated.",
        ("{s} is deployed with more instances than before.", "The first partner complains.", "No more refusals are seen."),
        ("Refusals are not on the overview board.", "Partners are told apart only by their address."),
        ("Both partners repeat refused requests on their own.",),
        ("Put refusals on the overview board.",),
    ),
)
"""The named reason is a guess; what really happened stands in a sentence about the component that fails."""

HEADINGS: dict[str, tuple[str, ...]] = {
    "summary": ("Summary", "What happened", "Overview", "In short"),
    "impact": ("Impact", "Effects", "Who was affected"),
    "timeline": ("Timeline", "Chronology", "Sequence of events"),
    "reason": ("Root cause", "Analysis", "Diagnosis", "Cause"),
    "factors": ("Contributing factors", "What contributed", "Circumstances"),
    "lessons": ("Lessons", "What went well", "Observations"),
    "actions": ("Action items", "Follow-up", "To do"),
}
"""How a company may head the parts of its reports."""
