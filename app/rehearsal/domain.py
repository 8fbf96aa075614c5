"""What robots answer: pure functions of their settings, of the seed, and of what they are shown.

A person must see an image; a robot is told by the key what it is. Each answer is drawn from the
seed, the robot's label and the presentation alone, so that it does not depend on what was
answered before, nor on whether the rehearsal was interrupted.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any

from app.errors import Invalid
from app.vocabulary import Answer, PairTask, Part, RobotKind

MOST_OF_A_KIND = 5
LARGEST_SEED = 2**31 - 1
USUAL_MS, PAIR_MS, LEAST_MS = 3200, 5200, 450
OTHER = {Answer.TUMOUR: Answer.NO_TUMOUR, Answer.NO_TUMOUR: Answer.TUMOUR}
normal = NormalDist()


@dataclass(frozen=True)
class Robot:
    """How a robot reads; all but `shift` are shares from 0 to 1.

    Of images with tumour it calls `hit_rate` tumour, of the others `false_alarm_rate`; `shift`
    moves its criterion by so many standard deviations, up for fewer tumours. It is right about
    originals and wrong about what it `is_fooled` by. In pairs it sees `sees` of what was altered.
    It takes back `slip_rate` of its answers, and leaves after `stops_after` of the images.
    """

    kind: RobotKind
    hit_rate: float
    false_alarm_rate: float
    shift: float = 0.0
    is_fooled: bool = False
    sees: float = 0.0
    slip_rate: float = 0.0
    stops_after: float = 1.0
    pace: float = 1.0

    def rate(self, truth: int) -> float:
        """How often it says tumour."""
        rate = self.hit_rate if truth else self.false_alarm_rate
        if rate in {0.0, 1.0}:
            return rate
        return normal.cdf(normal.inv_cdf(rate) - self.shift)


ROBOTS = {
    RobotKind.PERFECT: Robot(RobotKind.PERFECT, 1.0, 0.0),
    RobotKind.NOISY: Robot(RobotKind.NOISY, 0.85, 0.10, sees=0.3, slip_rate=0.03),
    RobotKind.ALWAYS_TUMOUR: Robot(RobotKind.ALWAYS_TUMOUR, 1.0, 1.0, pace=0.4),
    RobotKind.BIASED: Robot(RobotKind.BIASED, 0.85, 0.10, shift=-0.8, slip_rate=0.03),
    RobotKind.QUITTER: Robot(RobotKind.QUITTER, 0.85, 0.10, slip_rate=0.03, stops_after=0.5),
    RobotKind.SEES_ALL: Robot(RobotKind.SEES_ALL, 1.0, 0.0, is_fooled=True, sees=1.0),
}
UNSTEADY = (RobotKind.NOISY, RobotKind.BIASED, RobotKind.QUITTER)


@dataclass(frozen=True)
class Seen:
    """What the key tells of one presentation: a case under a condition, None for the original.

    `position` counts from 1 within the part, which has `total`. Of a pair, `condition` is that of
    the left image and `beside` that of the right one.
    """

    part: Part
    position: int
    total: int
    case: str
    truth: int
    condition: str | None
    set_number: int | None = None
    task: PairTask | None = None
    beside: str | None = None

    @property
    def name(self) -> str:
        shown = (self.part, self.position, self.case, self.condition, self.set_number, self.beside)
        return "/".join(map(str, shown))

    @property
    def is_altered(self) -> bool:
        return self.condition is not None

    @property
    def is_catch(self) -> bool:
        return self.condition == self.beside

    @property
    def right_answer(self) -> Answer:
        match self.task:
            case PairTask.CHOICE:
                return Answer.LEFT if self.is_altered else Answer.RIGHT
            case PairTask.COMPARE:
                return Answer.SAME if self.is_catch else Answer.DIFFERENT
            case None:
                return Answer.TUMOUR if self.truth else Answer.NO_TUMOUR


@dataclass(frozen=True)
class Decision:
    """All answers but the last are taken back. `confidence` is 1 to 5, None for what is none."""

    answers: Sequence[Answer]
    confidence: int | None
    reading_time_ms: int


Decide = Callable[[Seen, bool], Decision | None]
"""Of what is shown, and whether an answer may be taken back; None: the robot stops here."""


def decide(
    robot: Robot, seed: int, label: str, is_asked_how_sure: bool, seen: Seen, may_undo: bool
) -> Decision | None:
    if seen.part is Part.READING and seen.position > robot.stops_after * seen.total:
        return None
    if seen.part is Part.PAIRS and robot.stops_after < 1:
        return None
    chance = random.Random(f"{seed}/{label}/{seen.name}")  # noqa: S311 (a simulation)
    if seen.task is not None:
        return Decision([pair_answer(robot, seen, chance)], None, time_ms(PAIR_MS, robot, chance))
    answer, confidence = image_answer(robot, seen, chance)
    is_slip = chance.random() < robot.slip_rate
    pause = USUAL_MS * (1.5 - 0.1 * confidence)
    answers = [OTHER[answer], answer] if is_slip and may_undo else [answer]
    said = confidence if is_asked_how_sure else None
    return Decision(answers, said, time_ms(pause, robot, chance))


def image_answer(robot: Robot, seen: Seen, chance: random.Random) -> tuple[Answer, int]:
    """The further the draw is from the criterion, the surer the robot is."""
    if robot.is_fooled and seen.is_altered:
        return OTHER[seen.right_answer], 5
    rate, drawn = robot.rate(seen.truth), chance.random()
    says_tumour = drawn < rate
    room = rate if says_tumour else 1 - rate
    confidence = min(5, 1 + int(5 * (abs(drawn - rate) / room) ** 0.5))
    return (Answer.TUMOUR if says_tumour else Answer.NO_TUMOUR), confidence


def pair_answer(robot: Robot, seen: Seen, chance: random.Random) -> Answer:
    """What is not seen is guessed at, or taken for the same."""
    sees = chance.random() < robot.sees
    if seen.task is PairTask.COMPARE:
        return seen.right_answer if sees else Answer.SAME
    return seen.right_answer if sees else chance.choice([Answer.LEFT, Answer.RIGHT])


def time_ms(usual: float, robot: Robot, chance: random.Random) -> int:
    """Log-normal, as reading times are."""
    return max(LEAST_MS, round(usual * robot.pace * chance.lognormvariate(0, 0.35)))


def crew(counts: Mapping[RobotKind, int], hit_rate: float, false_alarm_rate: float) -> list[Robot]:
    """So many of each kind; the rates are those of the unsteady ones. Invalid when out of range."""
    for name, share in (("hit rate", hit_rate), ("false alarm rate", false_alarm_rate)):
        if not 0 <= share <= 1:
            raise Invalid(f"The {name} is 0 to 100 %.")
    if any(not 0 <= count <= MOST_OF_A_KIND for count in counts.values()):
        raise Invalid(f"There are 0 to {MOST_OF_A_KIND} robots of a kind.")
    robots = [
        replace(ROBOTS[kind], hit_rate=hit_rate, false_alarm_rate=false_alarm_rate)
        if kind in UNSTEADY
        else ROBOTS[kind]
        for kind in RobotKind
        for _ in range(counts.get(kind, 0))
    ]
    if not robots:
        raise Invalid("A rehearsal needs at least one robot.")
    return robots


def require_seed(seed: int) -> None:
    if not 0 <= seed <= LARGEST_SEED:
        raise Invalid(f"The seed is a whole number from 0 to {LARGEST_SEED}.")


def stored(robot: Robot) -> dict[str, Any]:
    return asdict(robot)


def restored(settings: Mapping[str, Any]) -> Robot:
    return Robot(**{**settings, "kind": RobotKind(settings["kind"])})


def in_words(robot: Robot) -> str:
    hits, alarms = (f"{100 * robot.rate(truth):.0f} %" for truth in (1, 0))
    also = {
        "right about every original, wrong about every perturbed image": robot.is_fooled,
        f"sees {100 * robot.sees:.0f} % of the altered images in pairs": robot.sees,
        f"its criterion is {abs(robot.shift):g} standard deviations towards "
        f"{'no tumour' if robot.shift > 0 else 'tumour'}": robot.shift,
        f"takes back {100 * robot.slip_rate:.0f} % of its answers": robot.slip_rate,
        f"leaves after {100 * robot.stops_after:.0f} % of the images": robot.stops_after < 1,
    }
    rates = f"says tumour to {hits} of tumours and to {alarms} of the others"
    more = [said for said, is_so in also.items() if is_so]
    return "; ".join(more if robot.is_fooled else [rates, *more])
