"""Everything about ECG: the task, its synthetic data, records, wave marks and live signals."""
