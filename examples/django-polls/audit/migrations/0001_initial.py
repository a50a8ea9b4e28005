"""The schema as it begins; made by `python manage.py makemigrations`."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(auto_now_add=True)),
                ("action", models.CharField(max_length=20)),
                ("subject", models.CharField(max_length=500)),
            ],
            options={
                "verbose_name_plural": "entries",
                "ordering": ("pk",),
            },
        ),
    ]
