"""A small anchor-free detector, sizes "nano" and "small": `Detector`, `load_detector`."""

from boxloss.detector.export import export
from boxloss.detector.inference import detect, suppress
from boxloss.detector.load import load_detector
from boxloss.detector.model import Detector
from boxloss.detector.network import SIZES, STRIDES

__all__ = ["Detector", "SIZES", "STRIDES", "detect", "export", "load_detector", "suppress"]
