"""Parameter sets to test the model with.

E-GLIF cells of the mouse cerebellar cortex: Geminiani et al. 2018 (doi:10.3389/fninf.2018.00088), 2019
(doi:10.3389/fncom.2019.00035), receptors 2019 (doi:10.3389/fncom.2019.00068), awake state 2024
(doi:10.1371/journal.pcbi.1011277). Units are those of the model; what a cell lacks is the model's default.
"""

_DEFAULTS = {
    "E_rev1": 0.0, "tau_syn1": 0.2, "E_rev2": -80.0, "tau_syn2": 2.0,
    "E_rev3": 0.0, "tau_syn3": 2.0, "E_rev4": -80.0, "tau_syn4": 2.0, "V_min": -150.0,
}  # fmt: skip

_INTERNEURON = {
    "t_ref": 1.59, "C_m": 14.6, "V_th": -53.0, "V_reset": -78.0, "E_L": -68.0, "V_m": -60.0, "lambda_0": 1.8,
    "tau_V": 1.0, "tau_m": 9.125, "I_e": 3.711, "k_adap": 2.025, "k_1": 1.887, "k_2": 1.096, "A1": 5.953,
    "A2": 5.863, "tau_syn1": 0.64, "tau_syn2": 2.0, "tau_syn3": 1.2,
}  # fmt: skip

_PURKINJE = {
    "t_ref": 0.5, "V_min": -350.0, "C_m": 334.0, "V_th": -43.0, "V_reset": -69.0, "E_L": -59.0, "V_m": -59.0,
    "lambda_0": 0.5, "tau_V": 2.0, "tau_m": 47.0, "I_e": 590.0, "k_adap": 1.491, "k_1": 0.195, "k_2": 0.041,
    "A1": 157.622, "A2": 172.622, "tau_syn1": 1.1, "tau_syn2": 2.8, "tau_syn3": 0.4,
}  # fmt: skip

_CELLS = {
    "granule_cell": {
        "t_ref": 1.5, "C_m": 7.0, "V_th": -41.0, "V_reset": -70.0, "E_L": -62.0, "I_e": -0.888, "V_m": -62.0,
        "lambda_0": 1.0, "tau_V": 0.3, "tau_m": 24.15, "k_adap": 0.022, "k_1": 0.311, "k_2": 0.041407868,
        "A1": 0.01, "A2": -0.94, "tau_syn1": 5.8, "tau_syn2": 13.61,
    },
    "golgi_cell": {
        "t_ref": 2.0, "C_m": 145.0, "V_th": -55.0, "V_reset": -75.0, "E_L": -62.0, "V_m": -60.0,
        "lambda_0": 0.15, "tau_V": 0.09, "tau_m": 44.0, "I_e": 16.214, "k_adap": 0.217, "k_1": 0.031,
        "k_2": 0.023, "A1": 259.988, "A2": 178.01, "tau_syn1": 0.23, "tau_syn2": 10.0, "tau_syn3": 0.5,
    },
    "purkinje_cell": _PURKINJE,
    "purkinje_cell_awake": _PURKINJE | {"lambda_0": 4.0, "tau_V": 3.5, "I_e": 700.0},
    "basket_cell": _INTERNEURON,
    "stellate_cell": _INTERNEURON,
}  # fmt: skip

CELLS = {name: _DEFAULTS | cell for name, cell in _CELLS.items()}
