//! Seat plans of the demo: a cinema screen and an arena. Pure geometry; coordinates are tenths of a seat's width, the
//! stage or screen is at the top in the middle (x = 0, y = 0).

use seatwire_protocol::SeatIndex;
use seatwire_protocol::catalogue::{Row, Section};

/// One seat's width, and an aisle's.
const SEAT: i32 = 10;
const AISLE: i32 = 20;

/// A seat plan before it belongs to a screen.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) focus: &'static str,
    pub(super) sections: Vec<Section>,
}

impl Plan {
    /// Every seat: index, label, section and tier.
    pub(super) fn seats(&self) -> Vec<(i32, String, String, i32)> {
        let mut out = Vec::new();
        for section in &self.sections {
            for row in &section.rows {
                for ((offset, number), tier) in (0_u32..).zip(&row.numbers).zip(&row.tiers) {
                    let index = (row.first.0 + offset).cast_signed();
                    let label = format!("{}{number}", row.prefix);
                    out.push((index, label, section.name.clone(), tier.cast_signed()));
                }
            }
        }
        out
    }
}

/// A row before its seats are numbered through the house.
struct Draft {
    name: String,
    prefix: String,
    y: i32,
    x: Vec<i32>,
    tiers: Vec<u32>,
}

/// Twelve rows of 14 to 18 seats with two aisles, a walkway after row F, three price tiers.
pub(super) fn cinema() -> Plan {
    let rows = ('A'..='L').zip(0_i32..).map(|(name, at)| {
        let seats: i32 = match at {
            0 | 1 => 14,
            10 | 11 => 16,
            _ => 18,
        };
        let width = (seats - 1) * SEAT + 2 * (AISLE - SEAT);
        let x = (0..seats)
            .map(|seat| {
                let aisles = i32::from(seat >= 4) + i32::from(seat >= seats - 4);
                seat * SEAT + aisles * (AISLE - SEAT) - width / 2
            })
            .collect();
        let tier = match at {
            0..=2 => 1,
            3..=8 => 2,
            _ => 3,
        };
        let y = 60 + at * 14 + if at >= 6 { 16 } else { 0 };
        let tiers = vec![tier; usize::try_from(seats).unwrap_or(0)];
        Draft { name: name.to_string(), prefix: name.to_string(), y, x, tiers }
    });
    // The best place is in the middle, two thirds back.
    number_through("screen", vec![(String::new(), rows.collect())], |row| (row.y - 190).abs())
}

/// 20,000 seats: a floor of six blocks, a lower and an upper bowl of twelve sections each, bent around the stage.
pub(super) fn arena() -> Plan {
    let mut sections = Vec::new();
    for block in 0..6_i32 {
        let (column, line) = (block % 3, block / 3);
        let tier = if line == 0 { 1 } else { 2 };
        let (left, top) = ((column - 1) * (25 * SEAT + AISLE), 80 + line * (20 * SEAT + AISLE));
        sections.push(stand(&format!("F{}", block + 1), left, top, 20, 25, tier, Shape::Straight));
    }
    bowl(
        &mut sections,
        100,
        &Ring { rows: 25, seats: |_| 28, side: 460, side_top: 40, rear_top: 645, bend: 120, tier: 3 },
    );
    let narrow = |section| if section == 5 || section == 6 { 35 } else { 36 };
    bowl(
        &mut sections,
        200,
        &Ring { rows: 20, seats: narrow, side: 800, side_top: 40, rear_top: 960, bend: 150, tier: 4 },
    );
    number_through("stage", sections, |row| {
        let middle = row.x.iter().sum::<i32>() / i32::try_from(row.x.len()).unwrap_or(1).max(1);
        // Twice the distance to the side: the middle is worth more than the front.
        (row.y * row.y + 2 * middle * middle).isqrt()
    })
}

/// One bowl: two sections on either side of the floor, eight behind it.
struct Ring {
    rows: i32,
    /// Seats of a row, by the section's place in the ring.
    seats: fn(i32) -> i32,
    /// Distance of the side sections from the middle.
    side: i32,
    side_top: i32,
    rear_top: i32,
    /// How much nearer to the stage the outermost sections behind are.
    bend: i32,
    tier: u32,
}

fn bowl(sections: &mut Vec<(String, Vec<Draft>)>, hundreds: i32, ring: &Ring) {
    let mut name = (1..).map(|number| (hundreds + number).to_string());
    let mut named = || name.next().unwrap_or_default();
    let height = ring.rows * SEAT + AISLE;
    for at in 0..2 {
        let shape = Shape::Side { leftwards: true };
        sections.push(stand(
            &named(),
            -ring.side,
            ring.side_top + at * height,
            ring.rows,
            (ring.seats)(at),
            ring.tier,
            shape,
        ));
    }
    for at in 0..8 {
        let pitch = (ring.seats)(0) * SEAT + AISLE;
        let middle = (2 * at - 7) * pitch / 2;
        let outermost = 7 * pitch / 2;
        let nearer = ring.bend * (middle / 10) * (middle / 10) / ((outermost / 10) * (outermost / 10));
        sections.push(stand(
            &named(),
            middle,
            ring.rear_top - nearer,
            ring.rows,
            (ring.seats)(at + 2),
            ring.tier,
            Shape::Fan,
        ));
    }
    for at in 0..2 {
        let shape = Shape::Side { leftwards: false };
        sections.push(stand(
            &named(),
            ring.side,
            ring.side_top + at * height,
            ring.rows,
            (ring.seats)(at + 10),
            ring.tier,
            shape,
        ));
    }
}

#[derive(Clone, Copy)]
enum Shape {
    /// Rows centred on `x`.
    Straight,
    /// Rows centred on `x` that move outwards with the distance, as a bowl does.
    Fan,
    /// Rows that start at `x` and go outwards.
    Side { leftwards: bool },
}

/// A section: rows from `y` downwards.
fn stand(name: &str, x: i32, y: i32, rows: i32, seats: i32, tier: u32, shape: Shape) -> (String, Vec<Draft>) {
    let letters = (0..rows).zip(row_names());
    let drafts = letters.map(|(at, letter)| {
        let middle = (seats - 1) * SEAT / 2;
        let places = (0..seats).map(|seat| match shape {
            Shape::Straight => x + seat * SEAT - middle,
            Shape::Fan => x + x * at / 150 + seat * SEAT - middle,
            Shape::Side { leftwards: true } => x - at * 2 - (seats - 1 - seat) * SEAT,
            Shape::Side { leftwards: false } => x + at * 2 + seat * SEAT,
        });
        Draft {
            prefix: format!("{name}-{letter}"),
            name: letter,
            y: y + at * SEAT,
            x: places.collect(),
            tiers: vec![tier; usize::try_from(seats).unwrap_or(0)],
        }
    });
    (name.to_owned(), drafts.collect())
}

/// A, B … Z, AA, BB …
fn row_names() -> impl Iterator<Item = String> {
    (1..).flat_map(|times| ('A'..='Z').map(move |letter| letter.to_string().repeat(times)))
}

/// Gives every seat its index, section by section, best first, and every row its rank.
fn number_through(focus: &'static str, sections: Vec<(String, Vec<Draft>)>, distance: impl Fn(&Draft) -> i32) -> Plan {
    let mut order: Vec<(i32, usize, usize)> = Vec::new();
    for (s, (_, rows)) in sections.iter().enumerate() {
        order.extend(rows.iter().enumerate().map(|(r, row)| (distance(row), s, r)));
    }
    order.sort_unstable();
    let rank_of = |s: usize, r: usize| {
        let rank = order.iter().position(|(_, section, row)| (*section, *row) == (s, r)).unwrap_or(order.len());
        u32::try_from(rank).unwrap_or(u32::MAX)
    };
    let mut ranked: Vec<(u32, Section)> = sections
        .into_iter()
        .enumerate()
        .map(|(s, (name, drafts))| {
            let rows: Vec<Row> = drafts
                .into_iter()
                .enumerate()
                .map(|(r, draft)| Row {
                    name: draft.name,
                    prefix: draft.prefix,
                    rank: rank_of(s, r),
                    y: draft.y,
                    first: SeatIndex(0),
                    numbers: (1..).take(draft.x.len()).collect(),
                    x: draft.x,
                    tiers: draft.tiers,
                })
                .collect();
            (rows.iter().map(|row| row.rank).min().unwrap_or(0), Section { name, rows })
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut sections: Vec<Section> = ranked.into_iter().map(|(_, section)| section).collect();
    let mut next = 0_u32;
    for row in sections.iter_mut().flat_map(|section| &mut section.rows) {
        row.first = SeatIndex(next);
        next += u32::try_from(row.x.len()).unwrap_or(0);
    }
    Plan { focus, sections }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    fn check(plan: &Plan, count: usize) {
        let seats = plan.seats();
        assert_eq!(seats.len(), count);
        assert!(seats.iter().zip(0..).all(|(seat, index)| seat.0 == index), "indexes without holes");
        let labels: HashSet<&str> = seats.iter().map(|seat| seat.1.as_str()).collect();
        assert_eq!(labels.len(), count, "labels are different");
        let rows = plan.sections.iter().flat_map(|section| &section.rows);
        let places: Vec<(i32, i32)> = rows.flat_map(|row| row.x.iter().map(move |x| (*x, row.y))).collect();
        let mut squares: HashMap<(i32, i32), Vec<(i32, i32)>> = HashMap::new();
        for &(x, y) in &places {
            squares.entry((x.div_euclid(SEAT), y.div_euclid(SEAT))).or_default().push((x, y));
        }
        for &(x, y) in &places {
            let around = (-1..=1).flat_map(|right| (-1..=1).map(move |down| (right, down)));
            let squares = around.filter_map(|(r, d)| squares.get(&(x.div_euclid(SEAT) + r, y.div_euclid(SEAT) + d)));
            let near = squares.flatten().filter(|(a, b)| (a - x).abs() < SEAT && (b - y).abs() < SEAT);
            assert_eq!(near.count(), 1, "the seat at {x}, {y} touches another");
        }
    }

    #[test]
    fn the_cinema_has_twelve_rows_with_aisles() {
        let plan = cinema();
        check(&plan, 204);
        let rows = &plan.sections[0].rows;
        assert_eq!(rows.len(), 12);
        assert!(rows.iter().all(|row| row.x.windows(2).filter(|pair| pair[1] - pair[0] > SEAT).count() == 2));
        assert_eq!(rows.iter().min_by_key(|row| row.rank).unwrap().name, "I");
    }

    #[test]
    fn the_arena_has_twenty_thousand_seats() {
        let plan = arena();
        check(&plan, 20_000);
        assert_eq!(plan.sections.len(), 30);
        assert!(plan.sections[0].name.starts_with('F'), "the floor is best");
    }
}
