"""Values dealt at random, yet evenly over two groupings at once."""

import random
from collections import defaultdict
from collections.abc import Hashable, Sequence

Places = Sequence[tuple[Hashable, Hashable]]
Ends = list[tuple[Hashable, Hashable]]


def deal_evenly(places: Places, values: Sequence[int], chance: random.Random) -> list[int]:
    """One of `values` for each place; places tell their group in the first and second grouping.

    Within every group of either grouping each value comes equally often, as far as it goes: two
    values differ by one at most. Each place is as likely to get any of them.

    A place is an edge between its two groups. A group is cut at random into parts of as many edges
    as there are values; colouring the edges of such a graph so that no part has a colour twice is
    always possible (Kőnig), and a full part then has every colour once.
    """
    ends: Ends = list(
        zip(
            parts([first for first, _ in places], len(values), chance),
            parts([second for _, second in places], len(values), chance),
            strict=True,
        )
    )
    names = chance.sample(values, len(values))
    return [names[colour] for colour in colours(ends, len(values), chance)]


def parts(groups: Sequence[Hashable], size: int, chance: random.Random) -> list[Hashable]:
    """Of each place the part of its group, `size` places to a part but for the last."""
    members: dict[Hashable, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        members[group].append(place)
    part_of: dict[int, Hashable] = {}
    for group, mine in members.items():
        chance.shuffle(mine)
        part_of |= {place: (group, rank // size) for rank, place in enumerate(mine)}
    return [part_of[place] for place in range(len(groups))]


def colours(ends: Ends, number: int, chance: random.Random) -> list[int]:
    """A colour for every edge, so that edges that meet have different ones."""
    graph = Colouring(ends, number)
    for edge in chance.sample(range(len(ends)), len(ends)):
        graph.colour(edge, chance)
    return graph.colour_of


class Colouring:
    """The colours of a bipartite graph's edges, `at` each end the edge of a colour."""

    def __init__(self, ends: Ends, number: int) -> None:
        self.ends = [((0, first), (1, second)) for first, second in ends]
        self.number = number
        self.colour_of = [0] * len(ends)
        self.at: dict[Hashable, dict[int, int]] = defaultdict(dict)

    def colour(self, edge: int, chance: random.Random) -> None:
        """Where no colour is free at both ends, a chain of two colours is turned over first."""
        first, second = self.ends[edge]
        here, there = self.free(first), self.free(second)
        if common := [colour for colour in here if colour in there]:
            self.put([edge], chance.choice(common))
            return
        mine, other = chance.choice(here), chance.choice(there)
        self.turn_over(second, mine, other)
        self.put([edge], mine)

    def free(self, end: Hashable) -> list[int]:
        return [colour for colour in range(self.number) if colour not in self.at[end]]

    def put(self, edges: Sequence[int], colour: int) -> None:
        for edge in edges:
            self.colour_of[edge] = colour
            for end in self.ends[edge]:
                self.at[end][colour] = edge

    def turn_over(self, end: Hashable, colour: int, other: int) -> None:
        """Swap two colours along the chain that leaves `end` by `colour`.

        The graph is bipartite: a chain that comes to the other side comes there by `colour`, so
        it never ends where `colour` is free.
        """
        chain: list[int] = []
        following = colour
        while (edge := self.at[end].get(following)) is not None:
            chain.append(edge)
            first, second = self.ends[edge]
            end = second if end == first else first
            following = colour + other - following
        for edge in chain:
            for each in self.ends[edge]:
                del self.at[each][self.colour_of[edge]]
        self.put(chain[::2], other)
        self.put(chain[1::2], colour)
