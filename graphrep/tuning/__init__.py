"""Search for the parameters of a method on one graph; sits above methods and evaluation."""

from graphrep.tuning.search import TuneResult, TuneTrial, tune_fastrp

__all__ = ["TuneResult", "TuneTrial", "tune_fastrp"]
