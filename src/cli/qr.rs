//! A QR code on a terminal: two rows of dots in one line of half blocks.

use qrcode::{Color, EcLevel, QrCode};

/// Dots of light around the code; without them many phones do not see it.
const QUIET: usize = 4;

/// The code of `text` for a terminal. With `colour`, dark and light are set explicitly and right on any
/// terminal; without, light dots are drawn in the letters' colour, right on the usual dark ones.
/// `None` when the text is too long for a code.
#[must_use]
pub(super) fn draw(text: &str, colour: bool) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let side = code.width();
    let light = |x: usize, y: usize| {
        let inside = (QUIET..QUIET + side).contains(&x) && (QUIET..QUIET + side).contains(&y);
        !inside || code[(x - QUIET, y - QUIET)] == Color::Light
    };
    let whole = side + 2 * QUIET;
    let mut drawn = String::new();
    for y in (0..whole).step_by(2) {
        if colour {
            // White on black, whatever the terminal's own colours are.
            drawn += "\u{1b}[38;5;231;48;5;16m";
        }
        for x in 0..whole {
            // An odd side leaves the last line's lower half outside: light like the rest around it.
            let below = y + 1 >= whole || light(x, y + 1);
            drawn.push(match (light(x, y), below) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        if colour {
            drawn += "\u{1b}[0m";
        }
        drawn.push('\n');
    }
    Some(drawn)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Reads the dots back: true is light.
    fn dots(drawn: &str) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in drawn.lines() {
            let upper = line.chars().map(|c| matches!(c, '█' | '▀')).collect();
            let lower = line.chars().map(|c| matches!(c, '█' | '▄')).collect();
            rows.push(upper);
            rows.push(lower);
        }
        rows
    }

    #[test]
    fn the_drawn_dots_are_the_codes_with_light_all_around() {
        let text = "https://openapi.baidu.com/device?code=XXXX";
        let code = QrCode::with_error_correction_level(text, EcLevel::L).unwrap();
        let rows = dots(&draw(text, false).unwrap());
        let side = code.width();
        for (y, row) in rows.iter().enumerate() {
            assert_eq!(row.len(), side + 2 * QUIET);
            for (x, light) in row.iter().enumerate() {
                let inside = (QUIET..QUIET + side).contains(&x) && (QUIET..QUIET + side).contains(&y);
                let expected = !inside || code[(x - QUIET, y - QUIET)] == Color::Light;
                assert_eq!(*light, expected, "{x} {y}");
            }
        }
        // The upper left finder: a dark ring of seven, light within, dark in the middle.
        let finder: Vec<bool> = (0..7).map(|x| rows[QUIET + 1][QUIET + x]).collect();
        assert_eq!(finder, [false, true, true, true, true, true, false]);
        assert!(rows[..QUIET].iter().flatten().all(|light| *light));
    }

    #[test]
    fn with_colour_dark_is_black_on_any_terminal() {
        let drawn = draw("x", true).unwrap();
        for line in drawn.lines() {
            assert!(line.starts_with("\u{1b}[38;5;231;48;5;16m") && line.ends_with("\u{1b}[0m"));
        }
    }

    #[test]
    fn what_is_too_long_is_not_drawn() {
        assert_eq!(draw(&"x".repeat(5000), false), None);
    }
}
