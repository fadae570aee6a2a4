"""Where manifests come from: a folder, or a Git work tree. Reads only; concludes nothing."""
