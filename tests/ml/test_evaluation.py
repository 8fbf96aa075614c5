import numpy as np

from ml.evaluation import measure_predictions, predicted_class


def test_a_probability_of_exactly_one_half_is_tumour() -> None:
    probabilities = np.array([0.0, 0.49999, 0.5, 1.0])
    assert predicted_class(probabilities).tolist() == [0, 0, 1, 1]


def test_metrics_agree_with_counting_by_hand() -> None:
    labels = np.array([1, 1, 1, 0, 0])
    metrics = measure_predictions(labels, np.array([0.9, 0.6, 0.2, 0.4, 0.7]))
    pairs_in_order = {0.9: 2, 0.6: 1, 0.2: 0}
    assert metrics.auc == sum(pairs_in_order.values()) / 6
    assert metrics.accuracy == 3 / 5
    assert (metrics.true_positive, metrics.false_negative) == (2, 1)
    assert (metrics.true_negative, metrics.false_positive) == (1, 1)
    assert metrics.n == 5
