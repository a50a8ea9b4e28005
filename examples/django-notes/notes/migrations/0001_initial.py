"""The schema as it begins; made by `python manage.py makemigrations`."""

import django.core.validators
from django.db import migrations, models

import notes.models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Note",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("text", models.TextField(max_length=2000)),
                (
                    "picture",
                    models.FileField(
                        blank=True,
                        upload_to="pictures/%Y/%m",
                        validators=[
                            django.core.validators.FileExtensionValidator(["gif", "jpeg", "jpg", "png", "webp"]),
                            notes.models.check_size,
                        ],
                    ),
                ),
                ("made", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ("-made", "-pk"),
            },
        ),
    ]
