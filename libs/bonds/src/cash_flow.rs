//! What a holder at settlement still receives, and the time steps those payments are discounted over.
//!
//! Times are stepwise: each is measured from the payment before it inside its own coupon period, so a payment moved
//! by a holiday lengthens one step and shortens the next. Equal steps share one entry of a small table, because a
//! bond has hundreds of steps but only a handful of different ones; a discount factor is then computed once a kind.

use crate::day::Day;
use crate::day_count::Reference;
use crate::instrument::{Compounding, FixedTerms, ZeroTerms};
use crate::schedule::{Schedule, ScheduleError};

/// A bond has few different steps; looking further back than this costs more than a discount factor does.
const SHARED_STEPS: usize = 8;

/// One length of time between two payments and how interest runs over it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    pub(crate) years: f64,
    pub(crate) interest: Interest,
}

/// How interest runs over one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// `1 + y t`.
    Simple,
    /// `(1 + y/f)^(f t)`.
    Compounded,
    /// `e^(y t)`.
    Continuous,
}

/// One payment per 100 face.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) amount: f64,
    /// Index of its step in [`CashFlows::steps`].
    pub(crate) step: usize,
    /// Years from settlement.
    pub(crate) time: f64,
    pub(crate) payment: Day,
}

/// The coupon period settlement falls into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CurrentCoupon {
    pub(crate) start: Day,
    pub(crate) end: Day,
    pub(crate) accrued: f64,
    pub(crate) accrued_days: i32,
}

/// Everything pricing at one settlement needs; rebuilt in place for the next bond.
#[derive(Debug, Default)]
pub(crate) struct CashFlows {
    schedule: Schedule,
    pub(crate) flows: Vec<Flow>,
    pub(crate) steps: Vec<Step>,
    pub(crate) current: Option<CurrentCoupon>,
    /// Coupons still due plus the redemption.
    pub(crate) count: usize,
    /// Paid with the last flow; kept apart only for the cash ladder.
    pub(crate) redemption: f64,
}

impl CashFlows {
    fn clear(&mut self) {
        self.flows.clear();
        self.steps.clear();
        self.current = None;
        self.count = 0;
        self.redemption = 0.0;
    }

    /// Accrued interest per 100 face; negative while a coupon is ex.
    pub(crate) fn accrued(&self) -> f64 {
        self.current.map_or(0.0, |coupon| coupon.accrued)
    }

    /// Flows of a zero settling at `settlement`.
    pub(crate) fn build_zero(&mut self, terms: &ZeroTerms, settlement: Day) {
        self.clear();
        if terms.payment <= settlement {
            return;
        }
        // With no coupon period to measure against, the notional one is the year up to the payment.
        let reference = Reference { start: terms.payment.plus_months(-12), end: terms.payment, grid: &[] };
        let years = terms.day_count.years(settlement, terms.payment, reference);
        let step = self.share_step(Step { years, interest: first_interest(terms.yield_terms.compounding) });
        self.flows.push(Flow { amount: terms.redemption, step, time: years, payment: terms.payment });
        self.redemption = terms.redemption;
        self.count = 1;
    }

    /// Flows of a coupon bond settling at `settlement`; none are left once the last payment is not after it.
    pub(crate) fn build_fixed(&mut self, terms: &FixedTerms, settlement: Day) -> Result<(), ScheduleError> {
        self.clear();
        self.schedule.build(&terms.schedule)?;
        let mut builder = Builder { terms, settlement, last: settlement, time: 0.0 };
        for index in 0..self.schedule.periods() {
            builder.add_period(self, index);
        }
        if let Some(last) = self.flows.last_mut() {
            last.amount += terms.redemption;
            self.redemption = terms.redemption;
            self.count += 1;
        }
        Ok(())
    }

    fn share_step(&mut self, step: Step) -> usize {
        if let Some(index) = self.steps.iter().take(SHARED_STEPS).position(|known| *known == step) {
            return index;
        }
        self.steps.push(step);
        self.steps.len() - 1
    }

    fn push(&mut self, amount: f64, step: Step, time: f64, payment: Day) {
        let step = self.share_step(step);
        self.flows.push(Flow { amount, step, time, payment });
    }
}

/// The longest way a business-day convention moves a date, with room to spare.
const MAX_ADJUSTMENT_DAYS: i32 = 30;

/// Walks the periods of one bond.
struct Builder<'a> {
    terms: &'a FixedTerms,
    settlement: Day,
    /// The payment before, or settlement.
    last: Day,
    time: f64,
}

impl Builder<'_> {
    fn add_period(&mut self, flows: &mut CashFlows, index: usize) {
        let (terms, settlement) = (self.terms, self.settlement);
        let (start, end) = (flows.schedule.dates()[index], flows.schedule.dates()[index + 1]);
        if end.plus(MAX_ADJUSTMENT_DAYS) <= settlement {
            return;
        }
        let payment = terms.payment_calendar.adjust(end, terms.payment_convention);
        if payment <= settlement {
            return;
        }
        let regular = flows.schedule.regular()[index];
        let odd_first = index == 0 && !regular;
        let reference = Reference { start, end, grid: flows.schedule.grid() };
        let period_years = terms.day_count.years(start, end, reference);
        let rate = terms.coupon.rate(index);
        let ex = self.is_ex(payment);
        if flows.current.is_none() {
            flows.current = Some(self.current_coupon(rate, start, end, reference, ex));
        }
        let first = self.last == settlement;
        let years = if self.last == start && payment == end {
            period_years
        } else if self.last == start {
            terms.day_count.years(start, payment, reference)
        } else {
            terms.day_count.years(start, payment, reference)
                - terms.day_count.years(start, self.last, reference)
        };
        let yield_terms = terms.yield_terms;
        let interest = if first {
            first_interest(yield_terms.compounding)
        } else {
            later_interest(yield_terms.compounding)
        };
        self.time += years;

        let treasury_split =
            first && odd_first && yield_terms.compounding == Compounding::SimpleThenCompounded;
        let quasi =
            if treasury_split { next_quasi_coupon(flows.schedule.grid(), settlement, end) } else { None };
        let amount = if ex { 0.0 } else { 100.0 * rate * period_years };
        flows.count += usize::from(!ex);
        if let Some(quasi) = quasi {
            // 31 CFR 356 App. B II.C and II.E: in a long first period simple interest covers only the fraction up to
            // the next quasi-coupon date; the whole periods behind it are compounded.
            let simple_years = terms.day_count.years(start, quasi, reference)
                - terms.day_count.years(start, settlement, reference);
            let whole = Step { years: years - simple_years, interest: Interest::Compounded };
            flows.push(0.0, Step { years: simple_years, interest }, simple_years, quasi);
            flows.push(amount, whole, self.time, payment);
        } else {
            flows.push(amount, Step { years, interest }, self.time, payment);
        }
        self.last = payment;
    }

    /// Whether the coupon paid on `payment` stays with the seller.
    fn is_ex(&self, payment: Day) -> bool {
        let days = self.terms.ex_coupon_days;
        // A business-day count spans at most twice as many calendar days and a holiday run: nothing later is ex.
        let reach = 2 * i32::try_from(days).unwrap_or(i32::MAX / 4) + MAX_ADJUSTMENT_DAYS;
        days > 0
            && payment.since(self.settlement) <= reach
            && self.terms.ex_coupon_calendar.business_days_before(payment, days) <= self.settlement
    }

    fn current_coupon(
        &self,
        rate: f64,
        start: Day,
        end: Day,
        reference: Reference<'_>,
        ex: bool,
    ) -> CurrentCoupon {
        let (day_count, settlement) = (self.terms.day_count, self.settlement);
        let accrued_to = settlement.min(end);
        if settlement <= start {
            return CurrentCoupon { start, end, accrued: 0.0, accrued_days: 0 };
        }
        let years = if ex {
            -day_count.years(settlement, settlement.max(end), reference)
        } else {
            day_count.years(start, accrued_to, reference)
        };
        CurrentCoupon {
            start,
            end,
            accrued: 100.0 * rate * years,
            accrued_days: day_count.days(start, accrued_to),
        }
    }
}

/// The quasi-coupon date simple interest runs to, when one lies between settlement and the end of the period.
fn next_quasi_coupon(grid: &[Day], settlement: Day, end: Day) -> Option<Day> {
    let next = grid.partition_point(|date| *date <= settlement);
    grid.get(next).copied().filter(|date| *date < end)
}

fn first_interest(compounding: Compounding) -> Interest {
    match compounding {
        Compounding::Simple | Compounding::SimpleThenCompounded => Interest::Simple,
        Compounding::Compounded => Interest::Compounded,
        Compounding::Continuous => Interest::Continuous,
    }
}

fn later_interest(compounding: Compounding) -> Interest {
    match compounding {
        Compounding::Simple => Interest::Simple,
        Compounding::Compounded | Compounding::SimpleThenCompounded => Interest::Compounded,
        Compounding::Continuous => Interest::Continuous,
    }
}
