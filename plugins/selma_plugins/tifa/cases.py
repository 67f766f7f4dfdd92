"""What the writer of questions is told: an instruction, and captions solved by hand for this project."""

from __future__ import annotations

from selma_plugins.evaluation.writing.few_shot import Case

TYPES = (
    "object",
    "animal/human",
    "food",
    "activity",
    "attribute",
    "counting",
    "color",
    "material",
    "spatial",
    "location",
    "shape",
    "other",
)

INSTRUCTION = (
    "Write questions with choices that test whether an image shows what its caption says. One per line, five fields "
    "with a bar between them:\n"
    "type | what it is about | question | choices, separated by semicolons | the right choice\n"
    f"Types: {', '.join(TYPES)}.\n"
    "For each thing the caption names, first ask whether it is there (choices: yes; no), then ask for it with four "
    "choices. The caption alone must decide every question. Ask nothing that it does not say."
)

CASES = (
    Case(
        "Two brown horses graze behind a wooden fence.",
        "\n".join(
            (
                "animal/human | horses | are there horses? | yes; no | yes",
                "animal/human | horses | which animals are shown? | horses; cows; sheep; goats | horses",
                "counting | horses | how many horses are there? | 1; 2; 3; 4 | 2",
                "color | horses | what color are the horses? | brown; white; black; gray | brown",
                "activity | graze | what are the horses doing? | grazing; running; sleeping; jumping | grazing",
                "object | fence | is there a fence? | yes; no | yes",
                "material | fence | what is the fence made of? | wood; stone; metal; wire | wood",
                "spatial | behind | are the horses behind the fence? | yes; no | yes",
            )
        ),
    ),
    Case(
        "a girl eats soup in a train",
        "\n".join(
            (
                "animal/human | girl | is there a girl? | yes; no | yes",
                "animal/human | girl | who is eating? | a girl; a boy; a man; a dog | a girl",
                "food | soup | is there soup? | yes; no | yes",
                "food | soup | what is the girl eating? | soup; bread; rice; an apple | soup",
                "activity | eats | what is the girl doing? | eating; reading; sleeping; singing | eating",
                "location | train | is this in a train? | yes; no | yes",
                "location | train | where is the girl? | in a train; in a kitchen; on a beach; in a park | in a train",
            )
        ),
    ),
    Case(
        "round clock without hands on a tiled wall",
        "\n".join(
            (
                "object | clock | is there a clock? | yes; no | yes",
                "shape | clock | what shape is the clock? | round; square; oval; triangular | round",
                "attribute | hands | does the clock have hands? | yes; no | no",
                "location | wall | what is the clock on? | a wall; a table; a tower; a desk | a wall",
                "material | wall | what covers the wall? | tiles; paper; wood; bricks | tiles",
            )
        ),
    ),
    Case(
        "An astronaut playing chess, pencil sketch",
        "\n".join(
            (
                "animal/human | astronaut | is there an astronaut? | yes; no | yes",
                "animal/human | astronaut | who is playing? | an astronaut; a clown; a child; a robot | an astronaut",
                "activity | playing chess | what is the astronaut playing? | chess; cards; golf; piano | chess",
                "attribute | pencil sketch | is this a pencil sketch? | yes; no | yes",
            )
        ),
    ),
)
