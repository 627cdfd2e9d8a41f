"""G.711 against the reference implementation, for every byte and every sample."""

import audioop

import numpy as np
import pytest

from ivr_sim.media import CODECS, PCMA, PCMU

ALL_BYTES = bytes(range(256))
ALL_SAMPLES = np.arange(-32768, 32768).astype(np.int16)
REFERENCE = {
    "PCMU": (audioop.ulaw2lin, audioop.lin2ulaw),
    "PCMA": (audioop.alaw2lin, audioop.lin2alaw),
}


@pytest.mark.parametrize("codec", [PCMU, PCMA], ids=lambda codec: codec.name)
class TestBothLaws:
    def test_every_byte_decodes_as_the_reference_says(self, codec):
        decode, _ = REFERENCE[codec.name]
        expected = np.frombuffer(decode(ALL_BYTES, 2), np.int16)
        assert np.array_equal(codec.decode(ALL_BYTES), expected)

    def test_every_sample_encodes_as_the_reference_says(self, codec):
        _, encode = REFERENCE[codec.name]
        assert codec.encode(ALL_SAMPLES) == encode(ALL_SAMPLES.tobytes(), 2)

    def test_what_was_decoded_encodes_to_the_same_sound(self, codec):
        sound = codec.decode(ALL_BYTES)
        assert np.array_equal(codec.decode(codec.encode(sound)), sound)

    def test_rows_are_encoded_as_if_each_were_alone(self, codec):
        rows = ALL_SAMPLES.reshape(-1, 160 if len(ALL_SAMPLES) % 160 == 0 else 256)
        codes = codec.encode_array(rows)
        assert codes.shape == rows.shape
        assert codes.dtype == np.uint8
        assert codes.tobytes() == codec.encode(ALL_SAMPLES)

    def test_every_second_sample_of_an_array_is_encoded(self, codec):
        assert codec.encode(ALL_SAMPLES[::2]) == codec.encode(ALL_SAMPLES[::2].copy())

    def test_silence_is_the_code_of_zero(self, codec):
        assert codec.encode(np.zeros(1, np.int16)) == bytes([codec.silence])
        assert abs(int(codec.decode(bytes([codec.silence]))[0])) <= 8

    def test_no_samples_are_no_bytes(self, codec):
        assert codec.encode(np.zeros(0, np.int16)) == b""
        assert codec.decode(b"").shape == (0,)

    @pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint16, np.uint8])
    def test_other_samples_than_int16_are_refused(self, codec, dtype):
        with pytest.raises(TypeError, match=f"{codec.name} encodes int16 samples"):
            codec.encode(np.zeros(160, dtype))


def test_payload_types_are_the_static_ones():
    assert CODECS == {0: PCMU, 8: PCMA}
    assert (PCMU.name, PCMA.name) == ("PCMU", "PCMA")
    assert (PCMU.silence, PCMA.silence) == (0xFF, 0xD5)
