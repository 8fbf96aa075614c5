"""Every figure: which step and files it is of, and how it is drawn."""

from ml.figures import of_attacks, of_network
from ml.figures.plan import Plan

PLANS = (
    Plan("table1a", "Table 1a. Cross-validation", "crossval", ("table1a.csv",), of_network.table1a),
    Plan("roc", "ROC curves", "crossval", ("roc.csv",), of_network.roc),
    Plan("calibration", "Calibration", "crossval", ("calibration.csv",), of_network.calibration),
    Plan("fig1-examples", "Fig. 1. Examples", "curves", ("examples.npz",), of_attacks.examples),
    Plan(
        "fig2a-embedding",
        "Fig. 2a. Features",
        "embedding",
        ("embedding.csv",),
        of_network.embedding,
    ),
    Plan(
        "fig2b-landscape",
        "Fig. 2b. Loss landscape",
        "landscape",
        ("landscape.csv", "trajectory.csv"),
        of_network.landscape,
    ),
    Plan("fig3-saliency", "Fig. 3. Saliency", "saliency", ("saliency.npz",), of_network.saliency),
    Plan(
        "saliency-shares",
        "Saliency in tumour nuclei",
        "saliency",
        ("saliency.csv",),
        of_network.shares,
    ),
    Plan(
        "fig4-curves", "Fig. 4. Success rate", "curves", ("curves.csv",), of_attacks.success_curves
    ),
    Plan("minimal", "Smallest perturbations", "curves", ("minimal.csv",), of_attacks.minimal),
    Plan(
        "fig5-universal",
        "Fig. 5. One perturbation for all",
        "universal",
        ("universal.csv", "universal.npz"),
        of_attacks.universal,
    ),
    Plan("natural", "Natural changes", "natural", ("natural.csv",), of_attacks.natural),
    Plan("baselines", "Other attacks", "baselines", ("baselines.csv",), of_attacks.baselines),
    Plan("transfer", "Other networks", "baselines", ("transfer.csv",), of_attacks.transfer),
    Plan("defence", "Defence", "defence", ("defence.csv",), of_attacks.defence),
)
