//! `palisade plan`: what a deployment needs, year by year, from what was measured.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;

use crate::cli::{Output, PlanArgs};
use crate::plan::{Calibration, Demand, Plan, Prices, measure, values};
use crate::summary::shown;

/// Runs the command.
///
/// # Errors
/// If there are no measured figures, a flag asks for what cannot be, or a file cannot be read or written.
pub(crate) async fn run(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let calibration = match args.calibrate {
        true => Box::pin(calibrate(args)).await?,
        false => Calibration::load(&args.calibration)?,
    };
    if args.calibrate && args.events_per_second.is_none() && args.devices.is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    let prices = args.prices.as_deref().map(Prices::load).transpose()?;
    let demand = Demand::new(args, &calibration)?;
    let plan = Plan::new(demand, &shown(&args.calibration), &calibration, prices);
    if let Some(file) = &args.helm {
        std::fs::write(file, values(&plan)?).with_context(|| format!("--helm {}", file.display()))?;
        eprintln!("Helm values of a region: {}", file.display());
    }
    let (mut out, terminal) = (std::io::stdout().lock(), std::io::stdout().is_terminal());
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(&plan)?)?,
        Output::Text => plan.write_text(&mut out, terminal)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures, and writes the figures where later plans look for them.
async fn calibrate(args: &PlanArgs) -> anyhow::Result<Calibration> {
    let found = Box::pin(measure::measure(args.seed, args.duration)).await?;
    let file = &args.calibration;
    std::fs::write(file, found.to_yaml()?).with_context(|| format!("--calibration {}", file.display()))?;
    found.write_text(&mut std::io::stderr().lock(), std::io::stderr().is_terminal())?;
    eprintln!("measured figures: {}", file.display());
    Ok(found)
}
