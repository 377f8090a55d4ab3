"""Every module has the test file that bears its name, or a line here that says which one covers it."""

from pathlib import Path

import pytest

import phiserve

PACKAGE = Path(phiserve.__file__).parent
UNIT = Path(__file__).parent

COVERED_BY = {
    "__main__.py": "cli/test_tokens.py",
    "api/batches/finishing.py": "api/batches/test_routes.py",
    "api/batches/states.py": "api/batches/test_routes.py",
    "api/openapi_examples.py": "api/test_openapi.py",
    "codecs/avif.py": "codecs/test_formats.py",
    "codecs/brands.py": "codecs/test_formats.py",
    "codecs/compiled.py": "vision/test_resampling.py",
    "codecs/damage.py": "codecs/test_parsed.py",
    "codecs/heic.py": "codecs/test_formats.py",
    "codecs/jpeg_codes.py": "codecs/test_jpeg_entropy.py",
    "codecs/pillow.py": "codecs/test_parsed.py",
    "codecs/webp.py": "codecs/test_formats.py",
    "config_sources.py": "test_config.py",
    "constraints/constraint.py": "protocol/test_translation.py",
    "constraints/keywords.py": "constraints/test_enforced.py",
    "constraints/limits.py": "constraints/test_lark.py",
    "constraints/schema_checks.py": "constraints/test_json_schema.py",
    "constraints/schema_nodes.py": "constraints/test_json_schema.py",
    "decisions/request.py": "test_decider.py",
    "image_assembly.py": "test_assembly.py",
    "engine/deltas.py": "engine/test_adapter.py",
    "engine/interface.py": "engine/test_adapter.py",
    "files/blobs.py": "files/test_disk.py",
    "protocol/batches/batch.py": "api/batches/test_routes.py",
    "protocol/decisions/content.py": "protocol/decisions/test_translation.py",
    "protocol/decisions/items.py": "protocol/decisions/test_request.py",
    "protocol/decisions/parts.py": "protocol/decisions/test_request.py",
    "protocol/decisions/response.py": "protocol/decisions/test_translation.py",
    "protocol/decisions/turns.py": "protocol/decisions/test_translation.py",
    "protocol/files.py": "api/test_files.py",
    "protocol/models.py": "api/test_status.py",
    "protocol/responses/conversations.py": "api/test_conversations.py",
    "protocol/text_completion.py": "api/test_completion_writer.py",
    "sandbox/messages.py": "sandbox/test_decoder.py",
    "sandbox/processes.py": "sandbox/test_decoder.py",
    "sandbox/worker.py": "sandbox/test_decoder.py",
    "store/batch_lines.py": "store/test_batch_records.py",
    "store/files.py": "store/test_file_records.py",
    "store/interface.py": "store/test_sql_store.py",
    "store/tables.py": "store/test_schema.py",
    "vision/decoding.py": "vision/test_images.py",
    "vision/normalisation.py": "plugin/test_model.py",
}
"""Module -> the test file that shows what it does."""

MODULES = sorted(
    str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"
)


def file_of(module: str) -> Path:
    """The file that is named after a module."""
    path = Path(module)
    return UNIT / path.with_name(f"test_{path.name}")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_its_tests(module: str) -> None:
    """One way or the other."""
    named, other = file_of(module), COVERED_BY.get(module)
    assert named.exists() or (other is not None and (UNIT / other).exists())


def test_no_line_is_left_over() -> None:
    """Lines of this table are about modules that exist and have no file of their own."""
    assert COVERED_BY.keys() <= {*MODULES}
    assert [module for module in COVERED_BY if file_of(module).exists()] == []
