"""What a text says of a picture, as data: groups of objects, relations, a background."""

from itertools import groupby

from attrs import frozen

from selma_plugins.shapes.scene import Object, Scene, relation


@frozen
class Group:
    """`count` objects that look the same; a colour or size of None is left open."""

    shape: str
    color: str | None
    size: str | None
    count: int = 1


@frozen
class Relation:
    """The group at index `first` stands `where` (one of `RELATIONS`) of the one at `second`."""

    first: int
    where: str
    second: int


@frozen
class Spec:
    """The whole of what a text says. Groups have distinct shapes, so "the circle" is clear."""

    groups: tuple[Group, ...]
    relations: tuple[Relation, ...] = ()
    background: str | None = None


def groups_of(scene: Scene) -> tuple[tuple[Object, ...], ...]:
    """A scene's objects, gathered by shape in the order in which shapes first come."""
    return tuple(tuple(items) for _, items in groupby(scene.objects, key=lambda o: o.shape))


def describe(scene: Scene) -> Spec:
    """All that is true of a scene: every attribute, and the clear relation of its first two
    groups where each is a single object.
    """
    found = groups_of(scene)
    groups = tuple(Group(g[0].shape, g[0].color, g[0].size, len(g)) for g in found)
    relations: tuple[Relation, ...] = ()
    if len(found) > 1 and len(found[0]) == len(found[1]) == 1:
        where = relation(found[0][0], found[1][0])
        if where is not None:
            relations = (Relation(0, where, 1),)
    return Spec(groups, relations, scene.background)
