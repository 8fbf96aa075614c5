"""What is weak about a design, in words: each rule says one sentence, or nothing."""

from app.designer.planned import Planned, minutes_of_sittings
from app.studies.domain import USUAL_GAP
from app.vocabulary import PairTask

ENOUGH_CASES = 60  # from here on the upper limit of the excess keeps its level
MUCH_IN_A_SITTING = 45  # minutes
WASHOUT = 14
MANY_CATCH = 5  # more than one in so many


def warnings(planned: Planned) -> tuple[str, ...]:
    return tuple(text for rule in RULES if (text := rule(planned)))


def no_negatives(planned: Planned) -> str:
    if planned.tumours < planned.design.cases:
        return ""
    return (
        "True positives alone cannot tell a careful reader from one who always answers tumour: "
        "add cases without tumour."
    )


def no_positives(planned: Planned) -> str:
    if planned.tumours:
        return ""
    return "No case has tumour: there are no true positives to compare."


def one_reader(planned: Planned) -> str:
    if planned.readers > 1:
        return ""
    return "One reader: the results say nothing of other pathologists. Plan three or more."


def two_readers(planned: Planned) -> str:
    if planned.readers != 2:
        return ""
    return "Two readers: they are reported one by one; a statement on all readers needs three."


def too_few_tumours(planned: Planned) -> str:
    if not 0 < planned.tumours < planned.fewest_for_tp:
        return ""
    return (
        f"{planned.tumours} tumour images cannot show ±{planned.margin_tp:g}, even when every "
        f"answer is the same: {planned.fewest_for_tp} are the fewest that can."
    )


def few_cases(planned: Planned) -> str:
    if planned.design.cases >= ENOUGH_CASES:
        return ""
    return (
        f"With {planned.design.cases} cases the upper limit of the flips is a little too low: of "
        f"20 cases it covers 89 to 93 % instead of 95 %. Read {ENOUGH_CASES} or more."
    )


def one_set(planned: Planned) -> str:
    if planned.design.sets > 1:
        return ""
    return (
        "With one set nobody knows how often a reader changes their mind about the same image: "
        "flips have nothing to be compared with. Choose two sets."
    )


def no_washout(planned: Planned) -> str:
    if planned.design.sets == 1 or (planned.waves > 1 and planned.washout_days >= WASHOUT):
        return ""
    return (
        f"The sets are less than {WASHOUT} days apart: a reader may remember an image and repeat "
        "the answer. Choose a sitting for each set."
    )


def small_gap(planned: Planned) -> str:
    if planned.minimum_gap >= USUAL_GAP:
        return ""
    return (
        f"A gap of {planned.minimum_gap} is small: two showings of one case may be recognised. "
        f"{USUAL_GAP} or more is usual."
    )


def no_masking(planned: Planned) -> str:
    if planned.masking:
        return ""
    return (
        "Without turning and mirroring, two showings of one image have identical pixels and can "
        "be recognised."
    )


def no_practice(planned: Planned) -> str:
    if planned.design.practice:
        return ""
    return "No practice: the first answers are also the reader's first with this screen."


def no_confidence(planned: Planned) -> str:
    if planned.confidence:
        return ""
    return "Without “how sure, 1 to 5” there are no ROC curves and no AUC."


def no_pairs(planned: Planned) -> str:
    if planned.pair_task:
        return ""
    return (
        "Without pairs the study tells whether answers change, not whether the change can be seen."
    )


def pairs_without_catch(planned: Planned) -> str:
    if planned.pair_task is not PairTask.CHOICE:
        return ""
    return (
        "“Which image was altered?” has no identical pairs: whether readers see changes where "
        "there are none, only “same or different” tells."
    )


def long_sitting(planned: Planned) -> str:
    longest = max(minutes_of_sittings(planned))
    if longest <= MUCH_IN_A_SITTING:
        return ""
    return f"A sitting of about {longest} minutes is long: choose more sittings, or fewer images."


def few_catch(planned: Planned) -> str:
    catch, least = planned.design.catch, planned.catch_least
    if least is None or not catch or (catch - 1) / catch >= least:
        return ""
    return (
        f"With catch images: {catch} of {planned.design.presentations}, one slip is below a share "
        f"of {least:g}: ask for more of them, or for a smaller share."
    )


def no_catch(planned: Planned) -> str:
    if planned.catch_least is None or planned.design.catch:
        return ""
    return "The plan asks for a share of catch images right, and there are none."


def one_sided_catch(planned: Planned) -> str:
    catch = planned.design.catch
    if not catch or 0 < planned.catch_tumours < catch:
        return ""
    always = "tumour" if planned.catch_tumours else "no tumour"
    return (
        f"All catch images have {always}: a reader who always answers {always} has all of them "
        "right. Ask for more, or take them from a batch that has both."
    )


def many_catch(planned: Planned) -> str:
    design = planned.design
    if MANY_CATCH * design.catch <= design.presentations:
        return ""
    return (
        f"Catch images: {design.catch} of {design.presentations}: they count in no result, and "
        "make reading longer. One in twenty is enough."
    )


def amber_scan(planned: Planned) -> str:
    if not planned.is_scan_amber:
        return ""
    return (
        "The blinding scan of this batch is amber: its files may give away the arms. The study "
        "starts only with a reason."
    )


RULES = (
    *(amber_scan, no_positives, no_negatives, too_few_tumours, few_cases, one_reader, two_readers),
    *(one_set, no_washout, small_gap, no_masking, no_practice, no_confidence),
    *(no_pairs, pairs_without_catch, long_sitting),
    *(few_catch, no_catch, one_sided_catch, many_catch),
)
