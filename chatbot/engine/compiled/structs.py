"""The structs of forward.c, field for field."""

import ctypes
from ctypes import POINTER, c_float, c_int64, c_void_p


class Product(ctypes.Structure):
    _fields_ = (
        ("weights", c_void_p),
        ("bias", c_void_p),
        ("inputs", c_int64),
        ("outputs", c_int64),
        ("is_wide", c_int64),
    )


class Layer(ctypes.Structure):
    _fields_ = (
        ("qkv", Product),
        ("out", Product),
        ("gate_up", Product),
        ("down", Product),
        ("norm", c_void_p),
        ("mlp_norm", c_void_p),
        ("query_norm", c_void_p),
        ("key_norm", c_void_p),
        ("keys", c_void_p),
        ("values", c_void_p),
    )


class Network(ctypes.Structure):
    _fields_ = (
        ("layers", POINTER(Layer)),
        ("lm_head", Product),
        ("embedding", c_void_p),
        ("turns", c_void_p),
        ("norm", c_void_p),
        ("layer_count", c_int64),
        ("hidden", c_int64),
        ("heads", c_int64),
        ("kv_heads", c_int64),
        ("head_dim", c_int64),
        ("feed_forward", c_int64),
        ("slots", c_int64),
        ("max_len", c_int64),
        ("vocabulary", c_int64),
        ("epsilon", c_float),
        ("scale", c_float),
    )


class Update(ctypes.Structure):
    _fields_ = (("down", Product), ("up", Product), ("first", c_int64))


class Site(ctypes.Structure):
    _fields_ = (("updates", POINTER(Update)), ("count", c_int64))
