"""The colour of each finding, the same on every image, in the viewer and on pages."""

# Bright on grey, no orange or red of the heatmaps, and chosen so that no two are alike for any colour vision.
FINDING_COLORS = {
    "mass": "#00dcea",
    "suspicious_calcification": "#cff2c1",
    "asymmetry": "#9f81ff",
    "focal_asymmetry": "#f77fa8",
    "global_asymmetry": "#df2a69",
    "architectural_distortion": "#f1f003",
    "skin_thickening": "#abbe6b",
    "skin_retraction": "#a08406",
    "nipple_retraction": "#2a8476",
    "suspicious_lymph_node": "#7f6daa",
}


def finding_color(finding: str) -> str:
    """Colour of a finding, the same on every image."""
    return FINDING_COLORS.get(finding, "#ffffff")
