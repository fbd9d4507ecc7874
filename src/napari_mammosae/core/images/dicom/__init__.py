"""DICOM files: elements, pixels, display, and the facts that matter for a mammogram."""
