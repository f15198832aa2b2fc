//! The 256 colours of xterm as they are shown on a page: readable on the log's background, be it light or dark.

use std::fmt::Write as _;
use std::sync::LazyLock;

/// Red, green, blue.
pub type Rgb = [u8; 3];

/// The contrast that text must have ([WCAG 2.2, 1.4.3](https://www.w3.org/TR/WCAG22/#contrast-minimum)).
const READABLE: f64 = 4.5;
/// The lightest and the darkest that a log's background is; `log.css` has the same.
pub const LIGHT: Rgb = [0xf6, 0xf8, 0xfa];
/// See [`LIGHT`].
pub const DARK: Rgb = [0x0d, 0x11, 0x17];

/// The sixteen that terminals name, as backgrounds; as text they are named in `log.css`.
const NAMED: [Rgb; 16] = [
    [0x24, 0x29, 0x2f],
    [0xb6, 0x23, 0x24],
    [0x1a, 0x7f, 0x37],
    [0xbb, 0x80, 0x09],
    [0x1f, 0x6f, 0xeb],
    [0x89, 0x57, 0xe5],
    [0x1b, 0x7c, 0x83],
    [0xd0, 0xd7, 0xde],
    [0x6e, 0x76, 0x81],
    [0xff, 0x7b, 0x72],
    [0x56, 0xd3, 0x64],
    [0xe3, 0xb3, 0x41],
    [0x79, 0xc0, 0xff],
    [0xd2, 0xa8, 0xff],
    [0x56, 0xd4, 0xdd],
    [0xff, 0xff, 0xff],
];

/// The steps of the cube behind the sixteen.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// A colour by its index.
#[must_use]
pub fn rgb(index: u8) -> Rgb {
    let step = |n: u8| STEPS.get(usize::from(n)).copied().unwrap_or(255);
    match index {
        0..=15 => NAMED.get(usize::from(index)).copied().unwrap_or_default(),
        16..=231 => {
            let n = index - 16;
            [step(n / 36), step(n / 6 % 6), step(n % 6)]
        }
        232..=255 => [8 + (index - 232) * 10; 3],
    }
}

/// The index of the colour of the cube, or of the greys, that is nearest.
#[must_use]
pub fn nearest(colour: Rgb) -> u8 {
    let far = |other: Rgb| {
        let pairs = colour.iter().zip(other);
        pairs.map(|(one, other)| i32::from(*one).abs_diff(i32::from(other)).pow(2)).sum::<u32>()
    };
    (16..=255_u8).min_by_key(|index| far(rgb(*index))).unwrap_or(16)
}

fn luminance(colour: Rgb) -> f64 {
    let part = |value: u8| {
        let value = f64::from(value) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    let [red, green, blue] = colour.map(part);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/// The contrast of two colours, from 1 to 21.
#[must_use]
pub fn contrast(one: Rgb, other: Rgb) -> f64 {
    let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
    if one > other { one / other } else { other / one }
}

/// Whether text of the one colour can be read on the other.
#[must_use]
pub fn is_readable(text: Rgb, ground: Rgb) -> bool {
    contrast(text, ground) >= READABLE
}

/// The colour, moved towards black or white as far as it must be to be read on `ground`.
fn readable(colour: Rgb, ground: Rgb) -> Rgb {
    let end = if luminance(ground) > 0.18 { 0_u16 } else { 255 };
    let mixed = |part: u16| {
        colour.map(|value| {
            let mixed = (u16::from(value) * (64 - part) + end * part) / 64;
            u8::try_from(mixed).unwrap_or(u8::MAX)
        })
    };
    (0..=64).map(mixed).find(|mixed| is_readable(*mixed, ground)).unwrap_or([u8::try_from(end).unwrap_or(0); 3])
}

/// Black or white, whichever can be read better on `ground`.
fn on(ground: Rgb) -> Rgb {
    let (black, white) = ([0; 3], [255; 3]);
    if contrast(black, ground) >= contrast(white, ground) { black } else { white }
}

/// The rules of the classes `f16`…, `g0`… and `h0`…; those of `f0` to `f15` are in `log.css`.
pub static CSS: LazyLock<String> = LazyLock::new(|| {
    let mut css = String::new();
    let rule = |css: &mut String, class: char, index: u8, colour: Rgb| {
        let [red, green, blue] = colour;
        // Writing to a string cannot fail.
        let _ = write!(css, ".{class}{index}{{color:#{red:02x}{green:02x}{blue:02x}}}");
    };
    (16..=255).for_each(|index| rule(&mut css, 'f', index, readable(rgb(index), LIGHT)));
    css.push_str("\n@media (prefers-color-scheme:dark){");
    (16..=255).for_each(|index| rule(&mut css, 'f', index, readable(rgb(index), DARK)));
    css.push_str("}\n");
    for index in 0..=255 {
        let ground = rgb(index);
        let ([red, green, blue], [text, ..]) = (ground, on(ground));
        let _ = write!(
            css,
            ".g{index}{{background:#{red:02x}{green:02x}{blue:02x};color:#{text:02x}{text:02x}{text:02x}}}"
        );
    }
    (0..=255).for_each(|index| rule(&mut css, 'h', index, rgb(index)));
    css.push('\n');
    css
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_and_colours_belong_together() {
        assert_eq!((rgb(16), rgb(196), rgb(231), rgb(255)), ([0; 3], [255, 0, 0], [255; 3], [238; 3]));
        for index in 16..=255 {
            assert_eq!(rgb(nearest(rgb(index))), rgb(index), "{index}");
        }
        assert_eq!(nearest([250, 3, 3]), 196);
    }

    #[test]
    fn contrast_is_counted_as_the_standard_says() {
        assert!((contrast([0; 3], [255; 3]) - 21.0).abs() < 0.01);
        assert!((contrast([0x77; 3], [255; 3]) - 4.48).abs() < 0.01);
    }

    #[test]
    fn each_colour_can_be_read() {
        for index in 0..=255 {
            for ground in [LIGHT, DARK] {
                assert!(is_readable(readable(rgb(index), ground), ground), "{index}");
            }
            assert!(is_readable(on(rgb(index)), rgb(index)), "text on {index}");
        }
    }

    /// The named colours of the style, of light and then of dark pages.
    #[test]
    fn the_named_ones_of_the_style_can_be_read() {
        let css = include_str!("../../dispatcher/pages/asset/log.css");
        let (light, dark) = css.split_once("prefers-color-scheme: dark").unwrap();
        for (css, ground) in [(light, LIGHT), (dark, DARK)] {
            for name in (0..16).map(|index| format!("f{index}")).chain(["fg", "dim", "faint"].map(str::to_owned)) {
                let (_, value) = css.split_once(&format!("--log-{name}: #")).expect(&name);
                let number = u32::from_str_radix(&value[..6], 16).unwrap().to_be_bytes();
                let colour = [number[1], number[2], number[3]];
                assert!(is_readable(colour, ground), "{name}: {:.2}", contrast(colour, ground));
            }
            let [red, green, blue] = ground;
            assert!(css.contains(&format!("--log-bg: #{red:02x}{green:02x}{blue:02x};")));
        }
    }
}
