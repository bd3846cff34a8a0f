import pytest

from wattpool.report.charts import BOTTOM, LEFT, RIGHT, TOP, Series, Shape, Tick, lines, stacked

# The plot is 888 wide and 224 high: two periods are 444 each.
MIDDLE = LEFT + (RIGHT - LEFT) // 2


def test_areas_are_stacked_from_zero_up_and_down() -> None:
    chart = stacked([Series("a", [10, 20]), Series("b", [20, 20])], [Series("c", [0, 16])], marks=[0])
    # From -16 to 40 in 224: 4 a unit. Zero stands at 170.
    assert chart.shapes == [
        Shape("a", "area", f"M{LEFT} 130H{MIDDLE}V90H{RIGHT}V170H{LEFT}Z"),
        Shape("b", "area", f"M{LEFT} 50H{MIDDLE}V10H{RIGHT}V90H{MIDDLE}V130H{LEFT}Z"),
        Shape("c", "area", f"M{LEFT} 170H{MIDDLE}V{BOTTOM}H{RIGHT}V170H{LEFT}Z"),
    ]
    assert chart.x_ticks == [Tick(LEFT, 0)]
    assert chart.y_ticks == [Tick(170, 0), Tick(90, 20), Tick(10, 40)]


def test_a_line_has_steps_and_gaps() -> None:
    chart = lines([Series("a", [2, 2, None, 4])], marks=[0, 2])
    quarter = (RIGHT - LEFT) // 4
    assert chart.shapes == [
        Shape("a", "line", f"M{LEFT} 122H{MIDDLE}M{LEFT + 3 * quarter} {TOP}H{RIGHT}"),
    ]
    assert chart.x_ticks == [Tick(LEFT, 0), Tick(MIDDLE, 2)]
    assert [tick.value for tick in chart.y_ticks] == [0, 1, 2, 3, 4]


def test_a_band_lies_behind_the_lines_and_shares_their_gaps() -> None:
    band = (Series("band", [1, None]), Series("band", [3, None]))
    chart = lines([Series("a", [2, 4])], band=band, marks=[])
    assert [shape.name for shape in chart.shapes] == ["band", "a"]
    assert chart.shapes[0].path == f"M{LEFT} 66H{MIDDLE}V178H{LEFT}Z"


@pytest.mark.parametrize(("value", "step"), [(0, 1), (7, 1), (11, 2), (26, 5), (60, 20), (1_234_567, 500_000)])
def test_the_value_axis_has_round_steps_and_shows_nothing_at_all_too(value: int, step: int) -> None:
    chart = lines([Series("a", [value])], marks=[])
    values = [tick.value for tick in chart.y_ticks]
    assert values == list(range(0, max(value, 1) + 1, step))
    assert all(TOP <= tick.position <= BOTTOM for tick in chart.y_ticks)
