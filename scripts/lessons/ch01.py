"""Chapter 1's lessons: core Python alone, nothing imported but what comes with it.

Sources: D. Knuth, The Art of Computer Programming, volume 3, sections 5.2.2 and 5.2.4 (sorting), volume 1, section
2.3.1 (traversing a tree).
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tinygrad_edu.scripts.lessons import ch01_normalising

MARKS = {"Ada": [1.0, 1.3, 1.0], "Bob": [3.7, 4.0, 5.0], "Cleo": [2.0, 2.3], "Dan": []}


def lists_dictionaries_strings() -> None:
    """Functions over lists, dictionaries and strings, with conditions and loops."""
    print("A dictionary of lists: each student's marks, from 1, the best, to 5; 4 is enough.\n")
    for name, verdict in judged(MARKS, enough=4.0).items():
        print(f"  {name:<5} {', '.join(map(str, MARKS[name])) or '-':<15} {verdict}")
    print("\nStrings, letter by letter.\n")
    for text in ("A man, a plan, a canal: Panama!", "Hello, world"):
        print(f"  {text!r:<34} palindrome: {is_palindrome(text)!s:<6} vowels: {vowels(text)}")
    print("\nA dictionary turned round: which letters occur how often in 'mississippi'.\n")
    counts = letter_counts("mississippi")
    print(f"  {counts}\n  {turned_round(counts)}")


def judged(marks: dict[str, list[float]], enough: float) -> dict[str, str]:
    """What each list of marks comes to: its mean and whether that is enough; nothing without a mark.

    >>> judged({"Eve": [2.0, 3.0], "Finn": []}, enough=4.0)
    {'Eve': 'mean 2.50, passed', 'Finn': 'no marks yet'}
    """
    verdicts = {}
    for name, of_one in marks.items():
        if not of_one:
            verdicts[name] = "no marks yet"
            continue
        total = 0.0
        for mark in of_one:
            total += mark
        mean = total / len(of_one)
        verdicts[name] = f"mean {mean:.2f}, {'passed' if mean <= enough else 'failed'}"
    return verdicts


def is_palindrome(text: str) -> bool:
    """Whether the letters read the same from both ends, whatever is between them."""
    letters = [c.lower() for c in text if c.isalnum()]
    i, j = 0, len(letters) - 1
    while i < j:
        if letters[i] != letters[j]:
            return False
        i, j = i + 1, j - 1
    return True


def vowels(text: str) -> int:
    """How many of a, e, i, o, u there are."""
    n = 0
    for c in text.lower():
        if c in "aeiou":
            n += 1
    return n


def letter_counts(text: str) -> dict[str, int]:
    """How often each character occurs, in the order in which they come up."""
    counts: dict[str, int] = {}
    for c in text:
        counts[c] = counts.get(c, 0) + 1
    return counts


def turned_round(counts: dict[str, int]) -> dict[int, list[str]]:
    """The values as keys; several keys may have had the same value, so each now leads to a list.

    >>> turned_round({"m": 1, "i": 4, "s": 4})
    {1: ['m'], 4: ['i', 's']}
    """
    keys: dict[int, list[str]] = {}
    for key, value in counts.items():
        keys.setdefault(value, []).append(key)
    return keys


def sorting() -> None:
    """Two sorting algorithms, bubble and merge: how they work, and how many comparisons each takes."""
    values = [5, 2, 4, 1, 3]
    print(f"Bubble sort of {values}: neighbours in the wrong order change places, until a pass changes nothing.\n")
    for state in bubble_passes(values):
        print(f"  {state}")
    print(f"\nMerge sort of {values}: sort both halves, then take the smaller of their first ones, again and again.\n")
    show_merges(values)
    print(
        "\nComparisons for n numbers in random order: about n²/2 and n log₂ n, so twice the numbers make 4 and ~2.2:\n"
    )
    print("        n      bubble       merge")
    for n in (100, 200, 400, 800):
        numbers = random.Random(0).sample(range(n), n)
        results, comparisons = [], []
        for sort in (bubble_sort, merge_sort):
            counter = Comparisons()
            results.append(sort(numbers, counter))
            comparisons.append(counter.n)
        assert results[0] == results[1] == sorted(numbers)
        print(f"  {n:>7} {comparisons[0]:>11,} {comparisons[1]:>11,}")
    print("\nBoth leave equal values in the order they came in: they are stable, as Python's own `sorted` is.")


@dataclass
class Comparisons:
    """Counts how often two values are compared."""

    n: int = 0

    def greater(self, a: float, b: float) -> bool:
        """Whether a > b."""
        self.n += 1
        return a > b


def bubble_sort(values: list[int], counter: Comparisons | None = None) -> list[int]:
    """A new list, sorted: n (n - 1) / 2 comparisons at most, n - 1 if it was sorted already.

    >>> bubble_sort([3, 1, 2])
    [1, 2, 3]
    """
    return list(bubble_passes(values, counter))[-1]


def bubble_passes(values: list[int], counter: Comparisons | None = None) -> Iterator[list[int]]:
    """The list as it is at first, and after each pass of bubble sort."""
    counter, out = counter or Comparisons(), list(values)
    yield list(out)
    for end in range(len(out) - 1, 0, -1):  # behind `end` all is in its place: each pass brings the largest there
        changed = False
        for i in range(end):
            if counter.greater(out[i], out[i + 1]):
                out[i], out[i + 1] = out[i + 1], out[i]
                changed = True
        yield list(out)
        if not changed:
            return


def merge_sort(values: list[int], counter: Comparisons | None = None) -> list[int]:
    """A new list, sorted: n log₂ n comparisons at most.

    >>> merge_sort([3, 1, 2])
    [1, 2, 3]
    """
    if len(values) < 2:
        return list(values)
    counter, middle = counter or Comparisons(), len(values) // 2
    return merged(merge_sort(values[:middle], counter), merge_sort(values[middle:], counter), counter)


def merged(left: list[int], right: list[int], counter: Comparisons | None = None) -> list[int]:
    """One sorted list of two; of equal values the left one comes first, which makes the sort stable."""
    counter, out, i, j = counter or Comparisons(), [], 0, 0
    while i < len(left) and j < len(right):
        if counter.greater(left[i], right[j]):
            out.append(right[j])
            j += 1
        else:
            out.append(left[i])
            i += 1
    return out + left[i:] + right[j:]


def show_merges(values: list[int], depth: int = 0) -> list[int]:
    """Merge sort that prints each list when it is split, and what comes of it, further in the deeper it is."""
    indent = "  " * (depth + 1)
    if len(values) < 2:
        return values
    middle = len(values) // 2
    print(f"{indent}{values} = {values[:middle]} and {values[middle:]}")
    out = merged(show_merges(values[:middle], depth + 1), show_merges(values[middle:], depth + 1))
    print(f"{indent}-> {out}")
    return out


@dataclass
class Node:
    """A node of a binary tree."""

    value: int
    left: Node | None = None
    right: Node | None = None


def tree() -> None:
    """Traversing a tree: depth first in three orders, by recursion and with a stack, and breadth first with a queue."""
    root: Node | None = None
    for value in (50, 30, 70, 20, 40, 60, 80):
        root = inserted(root, value)
    print("A binary search tree: smaller values lie to the left, larger ones to the right. On its side, root first:\n")
    print(drawn(root))
    print("\nThe same nodes, in four orders.\n")
    orders = {
        "in order": (in_order, "left, itself, right: sorted, in a search tree"),
        "pre-order": (pre_order, "itself first: as one would copy the tree"),
        "post-order": (post_order, "itself last: as one would delete it, or work out a formula"),
        "breadth first": (breadth_first, "level by level, with a queue"),
    }
    for name, (order, use) in orders.items():
        print(f"  {name:<14} {' '.join(map(str, order(root)))}   {use}")
    print(
        "\nRecursion keeps its place on Python's own stack, which holds some 1000 calls. With a list as the stack any"
    )
    deep: Node | None = None
    for value in range(100_000, 0, -1):
        deep = Node(value, right=deep)
    print(f"depth will do: {sum(1 for _ in in_order_by_stack(deep)):,} nodes one below the other.")


def inserted(node: Node | None, value: int) -> Node:
    """The search tree with one more value; equal ones go to the right."""
    if node is None:
        return Node(value)
    if value < node.value:
        node.left = inserted(node.left, value)
    else:
        node.right = inserted(node.right, value)
    return node


def in_order(node: Node | None) -> Iterator[int]:
    """Left, itself, right."""
    if node:
        yield from in_order(node.left)
        yield node.value
        yield from in_order(node.right)


def pre_order(node: Node | None) -> Iterator[int]:
    """Itself, left, right."""
    if node:
        yield node.value
        yield from pre_order(node.left)
        yield from pre_order(node.right)


def post_order(node: Node | None) -> Iterator[int]:
    """Left, right, itself."""
    if node:
        yield from post_order(node.left)
        yield from post_order(node.right)
        yield node.value


def breadth_first(node: Node | None) -> Iterator[int]:
    """Level by level: what was seen first waits first in the queue."""
    waiting = deque([node] if node else [])
    while waiting:
        node = waiting.popleft()
        yield node.value
        waiting.extend(child for child in (node.left, node.right) if child)


def in_order_by_stack(node: Node | None) -> Iterator[int]:
    """Left, itself, right, with a list that remembers the nodes whose left side is being seen to."""
    waiting: list[Node] = []
    while node or waiting:
        while node:
            waiting.append(node)
            node = node.left
        node = waiting.pop()
        yield node.value
        node = node.right


def drawn(node: Node | None, depth: int = 0) -> str:
    """The tree lying on its side, the root at the left, the right sides above."""
    if node is None:
        return ""
    parts = (drawn(node.right, depth + 1), "  " + "      " * depth + str(node.value), drawn(node.left, depth + 1))
    return "\n".join(filter(None, parts))


def normalising() -> None:
    """A reusable module for normalising data: written once, imported wherever it is needed."""
    data = {"height, cm": [152.0, 168.0, 171.0, 190.0], "income, €": [21000.0, 30000.0, 30000.0, 210000.0]}
    print("from tinygrad_edu.scripts.lessons import ch01_normalising\n")
    for name, values in data.items():
        print(f"  {name}")
        print(f"    as they are       {'  '.join(f'{x:>9.0f}' for x in values)}")
        print(f"    min_max           {'  '.join(f'{z:>9.3f}' for z in ch01_normalising.min_max(values))}")
        print(f"    standardise       {'  '.join(f'{z:>9.3f}' for z in ch01_normalising.standardise(values))}")
    print(
        "\nNow a step of 1 means about as much in both. The one large income presses the other three together at 0 in"
    )
    print("min-max, since it alone sets the scale.")
    try:
        ch01_normalising.min_max([1.0, float("nan")])
    except ValueError as error:
        print(f"A module says what it cannot do: ValueError: {error}")


LESSONS: dict[str, Callable[[], None]] = {
    "1.1": lists_dictionaries_strings,
    "1.2": sorting,
    "1.3": tree,
    "1.4": normalising,
}
