"""The classic neural engine, Wav2Lip, with weights that users bring."""
