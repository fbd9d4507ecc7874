"""The words a concept may start from: terms of the BI-RADS lexicon, normal anatomy, and artefacts.

They only fill the completion list of a new verdict file, which its users then edit.
"""

BI_RADS = (
    # masses: shape, margin, density
    "mass",
    "mass, oval",
    "mass, round",
    "mass, irregular",
    "mass, circumscribed margin",
    "mass, obscured margin",
    "mass, microlobulated margin",
    "mass, indistinct margin",
    "mass, spiculated margin",
    "mass, high density",
    "mass, equal density",
    "mass, low density",
    "mass, fat-containing",
    # calcifications: typically benign, suspicious morphology, distribution
    "calcifications, skin",
    "calcifications, vascular",
    "calcifications, coarse or popcorn-like",
    "calcifications, large rod-like",
    "calcifications, round",
    "calcifications, rim",
    "calcifications, dystrophic",
    "calcifications, milk of calcium",
    "calcifications, suture",
    "calcifications, amorphous",
    "calcifications, coarse heterogeneous",
    "calcifications, fine pleomorphic",
    "calcifications, fine linear or fine-linear branching",
    "calcifications, diffuse",
    "calcifications, regional",
    "calcifications, grouped",
    "calcifications, linear",
    "calcifications, segmental",
    "architectural distortion",
    "asymmetry",
    "global asymmetry",
    "focal asymmetry",
    "developing asymmetry",
    "intramammary lymph node",
    "skin lesion",
    "solitary dilated duct",
    # associated features
    "skin retraction",
    "nipple retraction",
    "skin thickening",
    "trabecular thickening",
    "axillary adenopathy",
    # composition
    "almost entirely fatty",
    "scattered fibroglandular densities",
    "heterogeneously dense",
    "extremely dense",
)
ANATOMY = (
    "nipple",
    "pectoral muscle",
    "skin line",
    "skin fold",
    "vessel",
    "duct",
    "fibroglandular tissue",
    "fat",
)
ARTEFACTS = (
    "view marker",
    "burned-in text",
    "device or implant",
    "biopsy clip",
    "image border",
    "background air",
    "detector or motion artefact",
)
FIRST_CONCEPTS = (*BI_RADS, *ANATOMY, *ARTEFACTS)
