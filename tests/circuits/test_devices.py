"""What a device does, which all that read a simulation ask in one place."""

import pytest

from cerebellar_models.circuits.devices import is_recorder, leaves_recording, takes_spikes


@pytest.mark.parametrize(
    ("device", "records", "leaves", "spikes"),
    [
        ({"device": "spike_recorder"}, True, True, True),
        ({"device": "multimeter"}, True, True, False),
        ({"device": "external", "nest_model": "spike_recorder"}, True, False, False),
        ({"device": "external", "nest_model": "voltmeter"}, True, False, False),
        ({"device": "external", "nest_model": "spike_generator"}, False, False, False),
        ({"device": "poisson_generator"}, False, False, False),
        ({}, False, False, False),
    ],
    ids=str,
)
def test_what_a_device_does(device, records, leaves, spikes):
    assert (is_recorder(device), leaves_recording(device), takes_spikes(device)) == (records, leaves, spikes)
