//! Versions of accelerator libraries, from the names of the files that were loaded.

use std::collections::BTreeMap;

use super::UsedFile;

/// What it is called · how its file begins · the Python distribution that brings it.
const LIBRARIES: &[(&str, &str, &str)] = &[
    ("cuda", "libcudart.so.", "nvidia-cuda-runtime-"),
    ("cuda_driver", "libcuda.so.", ""),
    ("cudnn", "libcudnn.so.", "nvidia-cudnn-"),
    ("nccl", "libnccl.so.", "nvidia-nccl-"),
    ("cublas", "libcublas.so.", "nvidia-cublas-"),
    ("tensorrt", "libnvinfer.so.", "tensorrt-"),
    ("rocm", "libamdhip64.so.", ""),
];

/// The versions of those that were loaded. A distribution knows more digits than a file's name.
pub(super) fn versions(
    files: &[UsedFile],
    pip: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for file in files {
        let Some(name) = file.path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        for (library, start, distribution) in LIBRARIES {
            let Some(version) = name.strip_prefix(start) else {
                continue;
            };
            let is_wheel = file
                .path
                .components()
                .any(|c| c.as_os_str() == "site-packages");
            let by_wheel = pip.iter().find(|(name, _)| {
                is_wheel && !distribution.is_empty() && name.starts_with(distribution)
            });
            let version = by_wheel.map_or(version, |(_, version)| version);
            found.insert((*library).to_owned(), version.to_owned());
        }
    }
    found
}
