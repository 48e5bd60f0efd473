//! Price from yield with its derivatives, and yield from price.
//!
//! Each step of time contributes a growth factor `F`; with `L' = d ln F/dy` and `L'' = d2 ln F/dy2` a flow's value
//! `B = 1 / prod F` has `B' = -B sum L'` and `B'' = B ((sum L')^2 - sum L'')`, whatever the compounding. One pass
//! over the flows therefore gives price, duration and convexity in closed form, without a power per flow.

use crate::cash_flow::{CashFlows, Interest, Step};
use crate::instrument::YieldTerms;

/// A yield below -99 % has no use and makes high powers of `1 + y/f` overflow.
pub(crate) const MIN_YIELD: f64 = -0.99;
/// 100,000 % a year: more than a defaulted bond a day before maturity needs.
pub(crate) const MAX_YIELD: f64 = 1000.0;
/// Two decades of bisection past the precision of an f64; the usual case ends after three steps.
const MAX_ITERATIONS: usize = 120;
/// Two orders below the 1e-10 that yields are promised to.
const YIELD_TOLERANCE: f64 = 1e-12;

/// Value of all flows at one yield, and what follows from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Valuation {
    pub(crate) price: f64,
    /// `dP/dy`.
    pub(crate) slope: f64,
    /// `d2P/dy2`.
    pub(crate) curvature: f64,
    /// Sum of value times years.
    pub(crate) weighted_time: f64,
}

/// Discount factor of a step with the derivatives of its log growth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepValue {
    discount: f64,
    first: f64,
    second: f64,
}

/// Why no yield was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoYield {
    /// Prices between the yield bounds do not include the wanted one.
    OutOfRange,
    /// No time passes before the payments, so every yield gives the same price.
    NoTime,
}

fn discount(step: Step, yield_rate: f64, frequency: f64) -> f64 {
    let years = step.years;
    match step.interest {
        Interest::Simple => 1.0 / (1.0 + yield_rate * years),
        Interest::Continuous => (-yield_rate * years).exp(),
        Interest::Compounded => {
            let base = 1.0 + yield_rate / frequency;
            let exponent = frequency * years;
            #[expect(clippy::float_cmp, reason = "a regular step is exactly one period")]
            if exponent == 1.0 { 1.0 / base } else { base.powf(-exponent) }
        }
    }
}

fn step_value(step: Step, yield_rate: f64, frequency: f64) -> StepValue {
    let years = step.years;
    let discount = discount(step, yield_rate, frequency);
    let (first, second) = match step.interest {
        Interest::Simple => {
            let first = years * discount;
            (first, -first * first)
        }
        Interest::Continuous => (years, 0.0),
        Interest::Compounded => {
            let base = 1.0 + yield_rate / frequency;
            let first = years / base;
            (first, -first / (base * frequency))
        }
    };
    StepValue { discount, first, second }
}

/// Whether a yield can discount these steps at all.
pub(crate) fn is_discountable(flows: &CashFlows, yield_rate: f64) -> bool {
    yield_rate > lowest_yield(flows) - f64::EPSILON && yield_rate <= MAX_YIELD
}

/// The lowest yield at which every step still grows by a positive factor.
fn lowest_yield(flows: &CashFlows) -> f64 {
    flows
        .steps
        .iter()
        .filter(|step| step.interest == Interest::Simple && step.years > 0.0)
        .map(|step| -0.999 / step.years)
        .fold(MIN_YIELD, f64::max)
}

/// Price and derivatives at `yield_rate`. Not finite when the yield is beyond what f64 powers can carry.
pub(crate) fn value(
    flows: &CashFlows,
    terms: YieldTerms,
    yield_rate: f64,
    steps: &mut Vec<StepValue>,
) -> Valuation {
    steps.clear();
    steps.extend(flows.steps.iter().map(|step| step_value(*step, yield_rate, terms.frequency)));
    let (mut price, mut slope, mut curvature, mut weighted_time) = (0.0, 0.0, 0.0, 0.0);
    let (mut discount, mut first, mut second) = (1.0, 0.0, 0.0);
    for flow in &flows.flows {
        let step = steps[flow.step];
        discount *= step.discount;
        first += step.first;
        second += step.second;
        let worth = flow.amount * discount;
        price += worth;
        slope -= worth * first;
        curvature += worth * (first * first - second);
        weighted_time += worth * flow.time;
    }
    Valuation { price, slope, curvature, weighted_time }
}

/// Price alone, for repricing under many yields.
pub(crate) fn price(
    flows: &CashFlows,
    terms: YieldTerms,
    yield_rate: f64,
    steps: &mut Vec<StepValue>,
) -> f64 {
    steps.clear();
    steps.extend(flows.steps.iter().map(|step| StepValue {
        discount: discount(*step, yield_rate, terms.frequency),
        first: 0.0,
        second: 0.0,
    }));
    let (mut price, mut discount) = (0.0, 1.0);
    for flow in &flows.flows {
        discount *= steps[flow.step].discount;
        price += flow.amount * discount;
    }
    price
}

/// The yield whose price is `target`, with the valuation there.
///
/// Halley's method on the logarithm of the price, which is nearly linear in yield, inside a bracket that bisection
/// falls back on.
pub(crate) fn solve(
    flows: &CashFlows,
    terms: YieldTerms,
    target: f64,
    steps: &mut Vec<StepValue>,
) -> Result<(f64, Valuation), NoYield> {
    if !flows.flows.iter().any(|flow| flow.time > 0.0 && flow.amount > 0.0) {
        return Err(NoYield::NoTime);
    }
    let (mut low, mut high) = (lowest_yield(flows), MAX_YIELD);
    let mut guess = first_guess(flows, terms, target).clamp(low, high);
    for _ in 0..MAX_ITERATIONS {
        let at = value(flows, terms, guess, steps);
        let gap = (at.price / target).ln();
        if gap > 0.0 {
            low = guess;
        } else {
            high = guess;
        }
        let slope = at.slope / at.price;
        let bend = at.curvature / at.price - slope * slope;
        let step = gap * slope / (slope * slope - 0.5 * gap * bend);
        if gap == 0.0 || (step.abs() <= YIELD_TOLERANCE * guess.abs().max(1.0)) {
            let root = guess - step;
            let root = if root.is_finite() { root } else { guess };
            return Ok((root, value(flows, terms, root, steps)));
        }
        let next = guess - step;
        guess = if next > low && next < high { next } else { f64::midpoint(low, high) };
        if high - low <= YIELD_TOLERANCE * guess.abs().max(1.0) {
            break;
        }
    }
    let at = value(flows, terms, guess, steps);
    // A bracket that closed on a bound, not on a root, has no price near the wanted one.
    if (at.price / target - 1.0).abs() < 1e-9 { Ok((guess, at)) } else { Err(NoYield::OutOfRange) }
}

/// Where to start: the yield at which two moments of the payment times explain the price.
fn first_guess(flows: &CashFlows, terms: YieldTerms, target: f64) -> f64 {
    let (mut total, mut mean, mut square) = (0.0, 0.0, 0.0);
    for flow in &flows.flows {
        total += flow.amount;
        mean += flow.amount * flow.time;
        square += flow.amount * flow.time * flow.time;
    }
    mean /= total;
    let variance = square / total - mean * mean;
    let log_ratio = (total / target).ln();
    let root = (mean * mean - 2.0 * variance * log_ratio).sqrt();
    // ln(total/price) = mean r - variance r^2 / 2, solved for the smaller r in the form that never cancels.
    let rate = if root.is_finite() { 2.0 * log_ratio / (mean + root) } else { log_ratio / mean };
    let guess = terms.frequency * (rate / terms.frequency).exp_m1();
    if guess.is_finite() { guess } else { 0.05 }
}
