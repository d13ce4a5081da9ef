//! Where a client or a site is, and what geography alone says about their distance.
//!
//! Geography is a poor distance: among cities 300 to 1,000 km apart, round trips take from 12 to 62 ms. So it is
//! only what is assumed until somebody has measured, and not even that where a database knows but the country.

/// The accuracy in kilometres past which a position is not believed: it is the middle of a country, or a guess.
pub const ACCURACY_MAX_KM: f64 = 500.0;

/// Median round-trip times by distance: kilometres, milliseconds.
const MEDIANS: [(f64, f64); 6] =
    [(0.0, 5.0), (150.0, 10.0), (650.0, 24.0), (2_000.0, 52.0), (5_500.0, 119.0), (13_000.0, 217.0)];

/// Mean radius of the earth in kilometres.
const EARTH_KM: f64 = 6_371.0;

/// Steps of the table by which decisions read the medians.
const STEPS: usize = 1_024;

/// Degrees of latitude and longitude that an area spans.
const AREA_DEGREES: f64 = 2.0;

/// A position on the globe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// Degrees north, -90..90.
    pub latitude: f64,
    /// Degrees east, -180..180.
    pub longitude: f64,
    /// How far it may be off, in kilometres. Whoever knows only a country says infinity.
    pub accuracy_km: f64,
}

impl Position {
    /// A position that is known exactly.
    pub fn exact(latitude: f64, longitude: f64) -> Position {
        Position { latitude, longitude, accuracy_km: 0.0 }
    }

    /// Whether it is one, and accurate enough to reckon with.
    pub fn trusted(&self) -> bool {
        (-90.0..=90.0).contains(&self.latitude)
            && (-180.0..=180.0).contains(&self.longitude)
            && self.accuracy_km <= ACCURACY_MAX_KM
    }

    /// The unit vector that points there; chords between such vectors are cheaper than great circles.
    pub fn vector(&self) -> [f32; 3] {
        let (latitude, longitude) = (self.latitude.to_radians(), self.longitude.to_radians());
        let level = latitude.cos();
        [(level * longitude.cos()) as f32, (level * longitude.sin()) as f32, latitude.sin() as f32]
    }

    /// The area of two degrees by two that it lies in, 0..16,200.
    pub(super) fn area(&self) -> u64 {
        let step = |degrees: f64, most: f64| (degrees / AREA_DEGREES).floor().clamp(0.0, most) as u64;
        step(self.latitude + 90.0, 89.0) * 180 + step(self.longitude + 180.0, 179.0)
    }
}

/// What is known of where a client is. All of it may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Whereabouts {
    /// Number of the autonomous system that announces its address.
    pub asn: Option<u32>,
    /// Country, ISO 3166-1 alpha-2 in upper case.
    pub country: Option<[u8; 2]>,
    /// Position, where a database names one.
    pub position: Option<Position>,
}

impl Whereabouts {
    /// The position, if it is to be believed.
    pub fn trusted(&self) -> Option<Position> {
        self.position.filter(Position::trusted)
    }
}

/// Kilometres between two positions along the great circle.
pub fn distance_km(a: &Position, b: &Position) -> f64 {
    let (from, to) = (a.vector(), b.vector());
    let square: f64 = (0..3).map(|axis| f64::from(from[axis] - to[axis]).powi(2)).sum();
    2.0 * EARTH_KM * (square.sqrt() / 2.0).clamp(0.0, 1.0).asin()
}

/// The median round trip in milliseconds over that many kilometres.
pub fn median_ms(km: f64) -> f64 {
    let mut last = MEDIANS[0];
    for knot in MEDIANS {
        if km <= knot.0 {
            let span = (knot.0 - last.0).max(1.0);
            return last.1 + (knot.1 - last.1) * ((km - last.0) / span).clamp(0.0, 1.0);
        }
        last = knot;
    }
    let before = MEDIANS[MEDIANS.len() - 2];
    last.1 + (km - last.0) * (last.1 - before.1) / (last.0 - before.0)
}

/// [`median_ms`] by the length of the chord between two unit vectors.
#[derive(Clone, Debug)]
pub(super) struct Medians(Box<[f32]>);

impl Default for Medians {
    fn default() -> Medians {
        let by_chord = |step: usize| {
            let chord = step as f64 * 2.0 / STEPS as f64;
            median_ms(2.0 * EARTH_KM * (chord / 2.0).clamp(0.0, 1.0).asin()) as f32
        };
        Medians((0..=STEPS).map(by_chord).collect())
    }
}

impl Medians {
    /// Milliseconds between two unit vectors.
    #[inline]
    pub(super) fn between(&self, a: &[f32; 3], b: &[f32; 3]) -> f32 {
        let square = (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2) + (a[2] - b[2]).powi(2);
        let step = (square.sqrt() * (STEPS as f32 / 2.0)) as usize;
        self.0.get(step.min(STEPS)).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARIS: Position = Position { latitude: 48.86, longitude: 2.35, accuracy_km: 10.0 };
    const SYDNEY: Position = Position { latitude: -33.87, longitude: 151.21, accuracy_km: 10.0 };

    #[test]
    fn the_medians_are_met_and_never_fall() {
        assert!((distance_km(&PARIS, &SYDNEY) - 16_960.0).abs() < 50.0);
        assert_eq!((median_ms(650.0), median_ms(2_000.0), median_ms(5_500.0)), (24.0, 52.0, 119.0));
        let mut last = 0.0;
        for km in 0..20_000 {
            let ms = median_ms(f64::from(km));
            assert!(ms >= last);
            last = ms;
        }
    }

    #[test]
    fn the_table_is_the_curve() {
        let medians = Medians::default();
        for degrees in 0..180 {
            let there = Position::exact(0.0, f64::from(degrees));
            let here = Position::exact(0.0, 0.0);
            let (read, exact) =
                (medians.between(&here.vector(), &there.vector()), median_ms(distance_km(&here, &there)));
            assert!((f64::from(read) - exact).abs() < 1.0 + exact * 0.02, "{degrees}: {read} {exact}");
        }
    }

    #[test]
    fn the_middle_of_a_country_is_no_position() {
        assert!(PARIS.trusted());
        let vague = Position { accuracy_km: 1_000.0, ..PARIS };
        let broken = Position { latitude: f64::NAN, ..PARIS };
        let unknown = Position { accuracy_km: f64::NAN, ..PARIS };
        assert!(!vague.trusted() && !broken.trusted() && !unknown.trusted());
        assert_eq!(Position::exact(90.0, 180.0).area(), 16_199);
    }
}
