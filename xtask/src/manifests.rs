//! `cargo xtask manifests`: the plain manifests and the kustomize base, made anew from the chart. That they are current
//! is what the cluster tests check.

use anyhow::{Context as _, Result};

use crate::{command, go_programs::HELM, test_targets};

/// Writes deploy/manifests and the resources of deploy/kustomize/base.
pub(crate) fn run() -> Result<()> {
    let helm = HELM.provided()?;
    let mut test = command::cargo();
    test.args(["test", "--quiet", "--package", "tcproute-tests", "--test", test_targets::CLUSTER]);
    test.args(["--", "manifests_are_what_the_chart_renders"]).env("TCPROUTE_WRITE_DOCS", "1");
    HELM.tell(&helm, &mut test);
    command::run(&mut test).context("cannot write the manifests")
}
