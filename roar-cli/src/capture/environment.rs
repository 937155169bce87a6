//! Which environment variables are worth recording: those that change what Python, the loader,
//! numerical libraries, compilers and launchers do. The environment as a whole never is: it says
//! more of its owner than of the job.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::model::RawString;

/// Names, with `*` for any rest or any beginning.
const RECORDED: &[&str] = &[
    // Python, and which one.
    "PYTHON*",
    "VIRTUAL_ENV",
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    // The loader and the compilers.
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LIBRARY_PATH",
    "CPATH",
    "C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH",
    "PKG_CONFIG_PATH",
    "CC",
    "CXX",
    "FC",
    "CFLAGS",
    "CXXFLAGS",
    "CPPFLAGS",
    "FFLAGS",
    "LDFLAGS",
    "MAKEFLAGS",
    "RUSTFLAGS",
    "CMAKE_*",
    // GPUs.
    "CUDA_*",
    "CUBLAS_*",
    "CUDNN_*",
    "NVIDIA_VISIBLE_DEVICES",
    "NCCL_*",
    "GLOO_*",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "XLA_*",
    // Numerical libraries and their threads.
    "TORCH_*",
    "PYTORCH_*",
    "TORCHINDUCTOR_*",
    "TRITON_*",
    "TF_*",
    "JAX_*",
    "OMP_*",
    "GOMP_*",
    "KMP_*",
    "MKL_*",
    "OPENBLAS_*",
    "BLIS_NUM_THREADS",
    "NUMEXPR_*",
    "VECLIB_MAXIMUM_THREADS",
    "TBB_*",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "TOKENIZERS_PARALLELISM",
    // Where models and data come from.
    "HF_HOME",
    "HF_ENDPOINT",
    "HF_HUB_*",
    "HF_DATASETS_*",
    "TRANSFORMERS_*",
    // Chance and time.
    "SEED",
    "*_SEED",
    "SOURCE_DATE_EPOCH",
    "TZ",
    "LANG",
    "LC_*",
    // Launchers.
    "RANK",
    "LOCAL_RANK",
    "GROUP_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "TORCHELASTIC_*",
    "SLURM_JOB_ID",
    "SLURM_STEP_ID",
    "SLURM_JOB_NAME",
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURM_NODEID",
    "SLURM_NTASKS",
    "SLURM_JOB_NUM_NODES",
    "OMPI_COMM_WORLD_*",
    "PMI_RANK",
    "PMI_SIZE",
    // Experiment trackers.
    "WANDB_BASE_URL",
    "WANDB_PROJECT",
    "WANDB_ENTITY",
    "WANDB_MODE",
    "WANDB_RUN_ID",
    "WANDB_RUN_GROUP",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_EXPERIMENT_*",
    "MLFLOW_RUN_ID",
];

/// The variables among `environment` that are worth recording; `further` are the user's names.
pub fn recorded(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    further: &[String],
) -> BTreeMap<String, RawString> {
    environment
        .into_iter()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let mut patterns = RECORDED
                .iter()
                .copied()
                .chain(further.iter().map(String::as_str));
            patterns
                .any(|pattern| fits(pattern, &name))
                .then(|| (name, RawString::from_os(&value)))
        })
        .collect()
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_recorded() {
        let further = ["MYAPP_*".to_owned(), "PLAIN".to_owned()];
        for (name, expected) in [
            ("PYTHONPATH", true),
            ("PYTHONHASHSEED", true),
            ("LD_LIBRARY_PATH", true),
            ("CUDA_VISIBLE_DEVICES", true),
            ("OMP_NUM_THREADS", true),
            ("MY_SEED", true),
            ("SEED", true),
            ("SEEDS", false),
            ("MYAPP_X", true),
            ("PLAIN", true),
            ("PLAINER", false),
            ("HOME", false),
            ("HF_TOKEN", false),
            ("AWS_SECRET_ACCESS_KEY", false),
            ("SSH_AUTH_SOCK", false),
        ] {
            let found = recorded([(name.into(), "x".into())], &further);
            assert_eq!(found.contains_key(name), expected, "{name}");
        }
    }
}
